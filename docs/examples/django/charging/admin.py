"""Drivers and charges in Django's admin."""

from django.contrib import admin

from charging.models import Charge, Driver

admin.site.register(Driver)
admin.site.register(Charge)
