"""For ``include()`` in the URLs of a project; see docs/how-to/django.md for which of the two modules to include."""

from __future__ import annotations

from django.urls import re_path

from ocpi_emsp.contrib.django.views import for_partners, serve

app_name = "ocpi_emsp"
urlpatterns = [re_path("", for_partners(serve), name="root")]
