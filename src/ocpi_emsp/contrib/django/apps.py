"""The app: its checks, and the creation of its tables after ``manage.py migrate``."""

from __future__ import annotations

from typing import Any

from django.apps import AppConfig
from django.core import checks
from django.db.models.signals import post_migrate

from ocpi_emsp.contrib.django import conf
from ocpi_emsp.contrib.django.checks import check_deployment, check_settings, check_urls


class OcpiEmspConfig(AppConfig):
    """The app ``ocpi_emsp.contrib.django``."""

    name = "ocpi_emsp.contrib.django"
    label = "ocpi_emsp"
    verbose_name = "OCPI eMSP"

    def ready(self) -> None:
        """Register the checks and the upgrade of the schema."""
        checks.register(check_settings, "ocpi_emsp")
        checks.register(check_urls, checks.Tags.urls)
        checks.register(check_deployment, checks.Tags.security, deploy=True)
        post_migrate.connect(upgrade_schema, sender=self)


def upgrade_schema(using: str, verbosity: int = 1, **_: Any) -> None:
    """Create or upgrade our tables, after Django's own migrations of their database."""
    given = conf.given() if not [*conf.problems()] else None
    if given is None or given.store is not None or given.database != using:
        return
    from ocpi_emsp.contrib.django.store import DjangoStore, close_before_dropping

    close_before_dropping(using)
    store = DjangoStore(using).sql
    before = store.schema_revision()
    try:
        store.upgrade()
        changed = store.schema_revision() != before
    finally:
        store.close()
    if verbosity and changed:
        print(f"  ocpi-emsp: {'created' if before is None else 'upgraded'} its tables in the database '{using}'")
