"""The URLs of the project. Partners call those below ocpi/emsp/, as OCPI_EMSP["URL"] says."""

from django.urls import include, path

urlpatterns = [
    path("ocpi/emsp/", include("ocpi_emsp.contrib.django.urls")),
    path("", include("charging.urls")),
]
