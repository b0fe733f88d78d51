"""The tokens that we present to partners, at rest.

Rules of this module (credentials.md 2.1: a token is as good as a password):
- what is written is sealed (Fernet: AES-128-CBC with HMAC-SHA256), so that a copy of the database opens no partner;
- the key comes from OCPI_EMSP_SECRET_KEY, or from a file that only its owner can read, made at the first use;
- another :class:`SecretBox`, such as one over a vault, can be given instead.
"""

from __future__ import annotations

import os
import tempfile
from functools import lru_cache
from pathlib import Path
from typing import Protocol

from cryptography.fernet import Fernet, InvalidToken

from ocpi_emsp.errors import StoreFailed

VARIABLE = "OCPI_EMSP_SECRET_KEY"


class SecretBox(Protocol):
    """Encrypts secrets that are stored in the database."""

    def seal(self, secret: bytes) -> str:
        """Return the encrypted text of a secret."""

    def open(self, sealed: str) -> bytes:
        """Return the secret of an encrypted text. Raises StoreFailed if the key differs or the text was altered."""


class FernetBox:
    """Encrypts with a key of 32 bytes in URL-safe base64 (see :meth:`new_key`). Raises ValueError if it is invalid."""

    def __init__(self, key: str) -> None:
        self._fernet = Fernet(key)
        self._open = lru_cache(maxsize=1024)(self._decrypt)

    @staticmethod
    def new_key() -> str:
        """A random key."""
        return Fernet.generate_key().decode()

    def seal(self, secret: bytes) -> str:
        """Return the encrypted text of a secret."""
        return self._fernet.encrypt(secret).decode()

    def open(self, sealed: str) -> bytes:
        """Return the secret of an encrypted text. Raises StoreFailed if the key differs or the text was altered."""
        return self._open(sealed)

    def _decrypt(self, sealed: str) -> bytes:
        try:
            return self._fernet.decrypt(sealed)
        except (InvalidToken, TypeError) as error:
            raise StoreFailed(
                "a party's token was encrypted with another key: "
                f"provide the key it was encrypted with in {VARIABLE} or the key file"
            ) from error


class KeyFileBox:
    """Encrypts with the key in OCPI_EMSP_SECRET_KEY, or else with the one in ``path``, which is created if missing."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._box: FernetBox | None = None

    def seal(self, secret: bytes) -> str:
        """Return the encrypted text of a secret. Raises StoreFailed if there is no usable key."""
        return self._opened().seal(secret)

    def open(self, sealed: str) -> bytes:
        """Return the secret of an encrypted text. Raises StoreFailed if the key differs or the text was altered."""
        return self._opened().open(sealed)

    def _opened(self) -> FernetBox:
        if self._box is None:
            key = os.environ.get(VARIABLE)
            source = VARIABLE if key else str(self._path)
            try:
                self._box = FernetBox(key or _read_or_make(self._path))
            except ValueError as error:
                raise StoreFailed(f"invalid key in {source}: expected 32 bytes in URL-safe base64") from error
            except OSError as error:
                raise StoreFailed(f"cannot use the key file {source}: {error.strerror}") from error
        return self._box


def _read_or_make(path: Path) -> str:
    """The key in a file; of several processes that find none, one makes it, whole before it can be read."""
    try:
        return path.read_text("ascii").strip()
    except FileNotFoundError:
        pass
    descriptor, name = tempfile.mkstemp(dir=path.parent, prefix=f"{path.name}.")  # its owner alone may read it
    draft = Path(name)
    with os.fdopen(descriptor, "w", encoding="ascii") as file:
        file.write(FernetBox.new_key() + "\n")
        file.flush()
        os.fsync(descriptor)
    try:
        os.link(draft, path)
    except FileExistsError:
        pass
    finally:
        draft.unlink()
    return path.read_text("ascii").strip()
