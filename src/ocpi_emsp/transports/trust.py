"""The certificates that this machine trusts, as both HTTP libraries find them.

Rules of this module: ``SSL_CERT_FILE`` takes precedence over ``SSL_CERT_DIR``, as in httpx and httpx2; an error about
an unreadable file names the variable and its value. OpenSSL itself treats a missing directory as an empty one.
"""

from __future__ import annotations

import os
import ssl
from pathlib import Path
from typing import Any, Final

from ocpi_emsp.errors import InvalidEnvironment

_FILE: Final = "SSL_CERT_FILE"
_DIRECTORY: Final = "SSL_CERT_DIR"


def ssl_context(library: Any, *, verify: bool = True) -> ssl.SSLContext:
    """Return the SSL context of httpx2 or httpx. Raises InvalidEnvironment if the trusted certificates are
    unreadable.
    """
    if verify:
        _check_directory()
    try:
        made: ssl.SSLContext = library.create_ssl_context(verify=verify)
    except OSError as error:  # SSLError is an OSError
        raise _unusable(error) from error
    return made


def _check_directory() -> None:
    folders = os.environ.get(_DIRECTORY, "")
    if folders and not os.environ.get(_FILE) and not any(Path(each).is_dir() for each in folders.split(os.pathsep)):
        raise InvalidEnvironment(f"invalid {_DIRECTORY} '{folders}': expected a directory of certificates")


def _unusable(error: OSError) -> InvalidEnvironment:
    file = os.environ.get(_FILE)
    if isinstance(error, ssl.SSLError):
        why = "no certificate can be read from it"
    else:
        why = error.strerror or "it cannot be read"
    if not file:
        return InvalidEnvironment(f"the certificates that this machine trusts cannot be read: {why}; set {_FILE}")
    return InvalidEnvironment(
        f"invalid {_FILE} '{file}': {why}: expected a file of certificates in PEM, "
        "for example /etc/ssl/certs/ca-certificates.crt"
    )
