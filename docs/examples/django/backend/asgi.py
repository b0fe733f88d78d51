"""For an ASGI server, whose lifespan does the background work: partners' requests do not pass Django's middleware."""

import os

from django.core.asgi import get_asgi_application

from ocpi_emsp.contrib.django import get_emsp

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "backend.settings")
django_application = get_asgi_application()  # first: get_emsp() needs the apps
application = get_emsp().asgi(fallback=django_application)
