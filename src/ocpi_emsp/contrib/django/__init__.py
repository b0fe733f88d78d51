"""An eMSP inside a Django project: docs/how-to/django.md.

::

    INSTALLED_APPS = [..., "ocpi_emsp.contrib.django"]
    OCPI_EMSP = {
        "COUNTRY_CODE": "IT",
        "PARTY_ID": "BEC",
        "NAME": "Be Charge",
        "URL": "https://ocpi.example.com/ocpi/emsp",
    }

Rules of this package: its tables are in a database of ``DATABASES``, beside those of Django; inside
``transaction.atomic()`` they are written on Django's own connection, which Django commits or rolls back.
"""

from __future__ import annotations

from ocpi_emsp._extras import extra

with extra("django"):
    from ocpi_emsp.contrib.django.emsp import get_emsp
    from ocpi_emsp.contrib.django.transactions import joined

__all__ = ["get_emsp", "joined"]
