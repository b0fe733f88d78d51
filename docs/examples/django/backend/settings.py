"""The settings of the project; the environment says what differs between a laptop and a server."""

import os
from pathlib import Path

BASE_DIR = Path(__file__).parent.parent
SECRET_KEY = os.environ.get("SECRET_KEY", "only-for-a-laptop")
DEBUG = False
ALLOWED_HOSTS = os.environ.get("ALLOWED_HOSTS", "127.0.0.1,localhost").split(",")
ROOT_URLCONF = "backend.urls"
WSGI_APPLICATION = "backend.wsgi.application"
USE_TZ = True
TIME_ZONE = "UTC"
DEFAULT_AUTO_FIELD = "django.db.models.BigAutoField"

INSTALLED_APPS = ["ocpi_emsp.contrib.django", "charging"]
MIDDLEWARE = [
    "django.middleware.security.SecurityMiddleware",
    "django.middleware.common.CommonMiddleware",
    "django.middleware.csrf.CsrfViewMiddleware",
]
DATABASES = {
    "default": {
        "ENGINE": "django.db.backends.sqlite3",
        "NAME": os.environ.get("DATABASE", BASE_DIR / "db.sqlite3"),
        "OPTIONS": {"timeout": 20},
    }
}

OCPI_EMSP = {
    "COUNTRY_CODE": "IT",
    "PARTY_ID": "BEC",
    "NAME": "Be Charge",
    "URL": os.environ.get("OCPI_URL", "http://127.0.0.1:8000/ocpi/emsp"),
    "URL_POLICY": os.environ.get("OCPI_URL_POLICY", "loopback"),  # "https" on a server
}
