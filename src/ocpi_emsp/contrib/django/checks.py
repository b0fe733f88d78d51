"""Django's system checks: ``manage.py check`` reports faults of ``settings.OCPI_EMSP``.

Rules of this module: a message says what is wrong, and the hint what to do; no connection is opened.
"""

from __future__ import annotations

import os
from typing import Any
from urllib.parse import urlsplit

from django.core.checks import CheckMessage, Error, Warning as CheckWarning
from django.core.exceptions import ImproperlyConfigured
from django.db import connections
from django.urls import NoReverseMatch, reverse

from ocpi_emsp.contrib.django import conf
from ocpi_emsp.contrib.django.emsp import get_emsp, make_emsp


def check_settings(**_: Any) -> list[CheckMessage]:
    """Return the errors in ``OCPI_EMSP``."""
    found = [Error(each.text, hint=each.hint or None, id=each.id) for each in conf.problems()]
    if found:
        return found
    try:
        make_emsp()
    except ImproperlyConfigured as error:
        return [Error(str(error), id="ocpi_emsp.E007")]
    except ImportError as error:
        return [Error(f"OCPI_EMSP: {error}", id="ocpi_emsp.E008")]
    get_emsp()  # an exception in an app's own module shows its traceback here, not at the first request
    return []


def check_urls(**_: Any) -> list[CheckMessage]:
    """Check that the included URLs are where ``URL`` says that partners find them."""
    if [*conf.problems()]:
        return []
    try:
        there = reverse("ocpi_emsp:root").rstrip("/")
    except NoReverseMatch:  # the WSGI or ASGI application serves them, in front of Django
        return []
    url = str(conf.given().arguments["url"])
    expected = urlsplit(url).path.rstrip("/")
    if there == expected:
        return []
    return [
        CheckWarning(
            f"Partners call {url}, but the URLs of ocpi_emsp are included at {there or '/'}.",
            hint=f"Include them at '{expected.lstrip('/')}/', unless a proxy in front of Django changes the path.",
            id="ocpi_emsp.W001",
        )
    ]


def check_deployment(**_: Any) -> list[CheckMessage]:
    """Check that every process finds the key that encrypts the tokens of partners (``check --deploy``)."""
    if [*conf.problems()] or os.environ.get("OCPI_EMSP_SECRET_KEY"):
        return []
    given = conf.given()
    if given.store is not None or connections[given.database].vendor != "postgresql":
        return []  # a SQLite file has a key file beside it
    return [
        CheckWarning(
            "Partners' tokens are encrypted with the key in ocpi-emsp.key, in the working directory of each process.",
            hint="Set the environment variable OCPI_EMSP_SECRET_KEY to one key for all processes.",
            id="ocpi_emsp.W002",
        )
    ]
