"""Encryption at rest of the tokens that we present to partners.

Rules of this module (credentials.md 2.1: a token is as good as a password):
- stored tokens are encrypted (Fernet: AES-128-CBC with HMAC-SHA256), so that a copy of the database opens no partner;
- the key comes from OCPI_EMSP_SECRET_KEY, or from a file that only its owner can read. One process creates the file on
  first use, but never if a database already holds secrets of another key, which a new key could not decrypt;
- either may hold several keys: all of them decrypt, the first one encrypts, so that a key can be replaced while servers
  run;
- another :class:`SecretBox`, such as one over a vault, can be used instead.
"""

from __future__ import annotations

import os
import re
import tempfile
from functools import lru_cache
from pathlib import Path
from typing import Protocol, runtime_checkable

from cryptography.fernet import Fernet, InvalidToken, MultiFernet

from ocpi_emsp.errors import StoreFailed

VARIABLE = "OCPI_EMSP_SECRET_KEY"
_LENGTH = 44
"""Characters of 32 bytes in base64."""
_AROUND = ", \t\r\n"
_SEPARATORS = re.compile(r"[,\s]+")


class SecretBox(Protocol):
    """Encrypts secrets that are stored in the database."""

    def seal(self, secret: bytes) -> str:
        """Return the encrypted text of a secret."""

    def open(self, sealed: str) -> bytes:
        """Return the secret of an encrypted text. Raises StoreFailed if the key differs or the text was altered."""


@runtime_checkable
class RotatingBox(SecretBox, Protocol):
    """A SecretBox that knows which of its keys encrypted a text; otherwise, a rotation encrypts every text again."""

    def is_current(self, sealed: str) -> bool:
        """Return True if the current key encrypted this text."""


def is_current(box: SecretBox, sealed: str) -> bool:
    """Return True if the box is known to have encrypted this text with the current key."""
    return isinstance(box, RotatingBox) and box.is_current(sealed)


class FernetBox:
    """Encrypts with ``key``, 32 bytes in URL-safe base64 (see :meth:`new_key`), and decrypts with that or an ``older``
    key. Raises ValueError if one is invalid.
    """

    def __init__(self, key: str, *older: str) -> None:
        if any(len(each) != _LENGTH for each in (key, *older)):  # of two without a separator, Fernet reads one
            raise ValueError(f"invalid key: expected {_LENGTH} characters")
        keys = [Fernet(each) for each in (key, *older)]
        self._first = keys[0]
        self._fernet = MultiFernet(keys)
        self._open = lru_cache(maxsize=1024)(self._decrypt)

    @staticmethod
    def new_key() -> str:
        """Return a random key."""
        return Fernet.generate_key().decode()

    def seal(self, secret: bytes) -> str:
        """Return the encrypted text of a secret."""
        return self._fernet.encrypt(secret).decode()

    def open(self, sealed: str) -> bytes:
        """Return the secret of an encrypted text. Raises StoreFailed if the key differs or the text was altered."""
        return self._open(sealed)

    def is_current(self, sealed: str) -> bool:
        """Return True if the first key encrypted this text."""
        try:
            self._first.decrypt(sealed)
        except (InvalidToken, TypeError):
            return False
        return True

    def _decrypt(self, sealed: str) -> bytes:
        try:
            return self._fernet.decrypt(sealed)
        except (InvalidToken, TypeError) as error:
            raise StoreFailed(
                "a party's token was encrypted with another key: "
                f"provide the key it was encrypted with in {VARIABLE} or the key file"
            ) from error


class KeyFileBox:
    """Encrypts with the first key in OCPI_EMSP_SECRET_KEY, or otherwise in ``path``, which is created if missing, and
    decrypts with each key there; blanks, commas and line breaks separate them.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._box: FernetBox | None = None

    def seal(self, secret: bytes) -> str:
        """Return the encrypted text of a secret. Raises StoreFailed if there is no usable key."""
        return self._opened().seal(secret)

    def open(self, sealed: str) -> bytes:
        """Return the secret of an encrypted text. Raises StoreFailed if the key is missing or differs, or the text was
        altered.
        """
        self.require_key()
        return self._opened().open(sealed)

    def is_current(self, sealed: str) -> bool:
        """Return True if the first key encrypted this text. Raises StoreFailed if there is no usable key."""
        self.require_key()
        return self._opened().is_current(sealed)

    @property
    def is_given(self) -> bool:
        """True if the key is in OCPI_EMSP_SECRET_KEY."""
        return bool(os.environ.get(VARIABLE))

    @property
    def has_key(self) -> bool:
        """False if the next secret would be encrypted with a new key."""
        return self._box is not None or self.is_given or self._path.exists()

    def require_key(self) -> None:
        """Raise StoreFailed if there is no key: for a database that already holds encrypted secrets."""
        if not self.has_key:
            raise StoreFailed(
                f"the key is missing that encrypted the tokens in the database: set {VARIABLE} as for the process that "
                f"registered the partners, or copy its key file to {self._path.absolute()}"
            )

    def _opened(self) -> FernetBox:
        if self._box is None:
            given = os.environ.get(VARIABLE)
            source = VARIABLE if given else str(self._path)
            try:
                keys = _SEPARATORS.split((given or _read_or_make(self._path)).strip(_AROUND))
                self._box = FernetBox(*keys)
            except ValueError as error:
                raise StoreFailed(
                    f"invalid key in {source}: expected 32 bytes in URL-safe base64, or several such keys with commas"
                ) from error
            except OSError as error:
                raise StoreFailed(f"cannot use the key file {source}: {error.strerror}") from error
        return self._box


def require_usable_key() -> None:
    """Raise StoreFailed if OCPI_EMSP_SECRET_KEY is set, and is not a key: a server finds out before it is asked."""
    box = KeyFileBox(Path())
    if box.is_given:
        box.is_current("")


def _read_or_make(path: Path) -> str:
    """Return the key in a file; of several processes without one, a single process creates it, atomically."""
    try:
        return path.read_text("ascii").strip()
    except FileNotFoundError:
        pass
    descriptor, name = tempfile.mkstemp(dir=path.parent, prefix=f"{path.name}.")  # only its owner may read it
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
