"""The app."""

from django.apps import AppConfig


class ChargingConfig(AppConfig):
    """Drivers, and what they charged."""

    name = "charging"
