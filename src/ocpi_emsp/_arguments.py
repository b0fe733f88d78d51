"""Validates the arguments of an Emsp when they are given.

Rules of this module: a message names the setting, the given value and what is expected.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterable, Mapping
from types import NoneType
from typing import TYPE_CHECKING, Any, TypeVar
from urllib.parse import urlsplit

from ocpi_emsp.codec import encode_valid
from ocpi_emsp.codec.extensions import require_extensions
from ocpi_emsp.errors import InvalidObject
from ocpi_emsp.flows.core.settings import Identity
from ocpi_emsp.models import BusinessDetails, Credentials, ModuleID
from ocpi_emsp.ports import AnyStore
from ocpi_emsp.scalars import given

if TYPE_CHECKING:
    from ocpi_emsp.events import Event

T = TypeVar("T")

_LONGEST_URL = 255 - len("/2.1.1/commands/UNLOCK_CONNECTOR/") - 24
"""Most characters of the base URL: a command's response_url below it may have 255."""


def instance(name: str, value: T | None, kind: type[T], default: Callable[[], T]) -> T:
    """Return the given object of this class, or the default. Raises TypeError."""
    if value is None:
        return default()
    if not isinstance(value, kind):
        raise TypeError(f"invalid {name} '{given(value)}': expected an object of the class {kind.__name__}")
    return value


def flag(name: str, value: object) -> bool:
    """Return the flag. Raises TypeError."""
    if not isinstance(value, bool):
        raise TypeError(f"invalid {name} '{given(value)}': expected True or False")
    return value


def part(name: str, value: T | None, expected: str, *needed: str) -> T | None:
    """Return a port or a function, which need not inherit from ours: its methods are checked. Raises TypeError."""
    if value is not None and not all(callable(getattr(value, each, None)) for each in needed):
        raise TypeError(f"invalid {name} '{given(value)}': expected {expected}")
    return value


def event_class(setting: str, event: type[Event]) -> type[Event]:
    """Return a class of events. Raises TypeError."""
    from ocpi_emsp.events import Event

    kind: object = event
    if not (isinstance(kind, type) and issubclass(kind, Event)):
        expected = "expected a class of ocpi_emsp.events, for example CdrReceived"
        raise TypeError(f"invalid {setting} '{given(event)}': {expected}")
    return event


def check_listener(listener: Callable[..., object]) -> None:
    """Raise TypeError if the listener does not take one argument."""
    expected = "expected a function of one argument, the event"
    if not callable(listener):
        raise TypeError(f"invalid listener '{given(listener)}': {expected}")
    try:
        signature = inspect.signature(listener)
    except ValueError:  # a builtin without a signature
        return
    try:
        signature.bind(None)
    except TypeError:
        name = getattr(listener, "__name__", listener)
        raise TypeError(f"invalid listener '{name}': {expected}, but its parameters are {signature}") from None


def modules(modules: Iterable[str]) -> frozenset[str]:
    """Return the modules by their names in lower case. Raises TypeError, ValueError."""
    if isinstance(modules, str):
        raise TypeError(f"invalid required_modules '{modules}': expected a collection, for example ['{modules}']")
    named = frozenset(module.lower() for module in modules)
    unknown = sorted(each for each in named if not ModuleID.of(each).known)
    if unknown:
        known = ", ".join(each.value for each in ModuleID)
        raise ValueError(f"invalid required_modules '{', '.join(unknown)}': expected some of {known}")
    return named


def extensions(extensions: Mapping[str, Any] | None) -> Mapping[str, Any]:
    """Return the members of our credentials beside those of the specification. Raises TypeError, ValueError."""
    named: object = extensions
    if not isinstance(named, Mapping | NoneType):
        expected = "expected a mapping of names to values, for example {'vendor_id': 7}"
        raise TypeError(f"invalid credentials_extensions '{given(extensions)}': {expected}")
    try:
        return require_extensions(Credentials, extensions)
    except InvalidObject as error:
        raise ValueError(f"invalid credentials_extensions: {error.message}") from error


def usable_store(store: AnyStore) -> AnyStore:
    """Return a store of any kind. Raises TypeError."""
    if not any(hasattr(store, name) for name in ("transaction", "blocking_transaction", "for_mode")):
        raise TypeError(f"invalid store '{given(store)}': expected a URL or a store, for example sqlite:///emsp.db")
    return store


def identity_of(country_code: str, party_id: str, name: str, details: BusinessDetails, url: str) -> Identity:
    """Return the identity of the eMSP. Raises TypeError, ValueError."""
    texts = {"country_code": country_code, "party_id": party_id, "name": name, "url": url}
    for setting, text in texts.items():
        if not isinstance(text, str):
            raise TypeError(f"invalid {setting} '{given(text)}': expected a text")
    if not name.strip():
        raise ValueError(f"invalid name '{name}': expected the name that drivers know us by, for example Be Charge")
    parts = urlsplit(url)
    base_example = "for example https://ocpi.example.com/ocpi/emsp"
    if parts.scheme not in ("http", "https") or not parts.hostname or parts.query or parts.fragment:
        raise ValueError(f"invalid url '{url}': expected the absolute public base of our paths, {base_example}")
    base = url.rstrip("/")
    if base.endswith("/versions"):
        raise ValueError(f"invalid url '{url}': expected the base of our paths, without /versions, {base_example}")
    if len(base) > _LONGEST_URL:
        raise ValueError(f"invalid url of {len(base)} characters: expected at most {_LONGEST_URL}, {base_example}")
    for setting, length, example in (("country_code", 2, "IT"), ("party_id", 3, "BEC")):
        if len(texts[setting]) != length:
            expected = f"expected {length} characters, for example {example}"
            raise ValueError(f"invalid {setting} '{texts[setting]}': {expected}")
    try:
        encode_valid(details)
    except InvalidObject as error:
        raise ValueError(f"invalid business_details: {error}") from error
    return Identity(country_code=country_code.upper(), party_id=party_id.upper(), business_details=details, url=base)
