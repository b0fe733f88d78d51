"""The URLs of the app."""

from django.urls import path

from charging import views

urlpatterns = [
    path("locations/<str:cpo>/<str:location_id>", views.location),
    path("charges", views.charges),
    path("drivers", views.new_driver),
    path("start", views.start),
    path("stop", views.stop),
]
