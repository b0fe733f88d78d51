"""For ``include()`` in the URLs of a project that an ASGI server runs."""

from __future__ import annotations

from django.urls import re_path

from ocpi_emsp.contrib.django.views import for_partners, serve_async

app_name = "ocpi_emsp"
urlpatterns = [re_path("", for_partners(serve_async), name="root")]
