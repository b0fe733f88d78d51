"""The credentials that partners get, from the settings of the command.

Rules of this module (credentials.md 2.1; mod_locations.md 4.1, 4.14):
- a renewal sends what the partner was last sent, except for values given now; differences are reported on stderr;
- ``none`` means that no website or logo is sent, even if one was sent before.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import PurePosixPath
from typing import Any
from urllib.parse import urlsplit

import msgspec
from attrs import evolve

from ocpi_emsp.cli import output
from ocpi_emsp.cli.errors import Usage
from ocpi_emsp.cli.options import NONE, Arguments
from ocpi_emsp.codec import encode
from ocpi_emsp.emsp import Emsp
from ocpi_emsp.models import BusinessDetails, Image, ImageCategory
from ocpi_emsp.resources import SentCredentials

_PARTS = ("thumbnail", "category", "type", "width", "height")
_IDENTITY = ("url", "country_code", "party_id", "name")


def credentials_settings(arguments: Arguments, sent: SentCredentials | None = None) -> dict[str, Any]:
    """Return the arguments of ``Emsp`` for our credentials. Raises Usage."""
    details = _details(arguments, sent.business_details if sent else None)
    said = _said(arguments, "credentials_extensions")
    stored = sent.known_extensions if sent else {}
    return {
        "business_details": details,
        "credentials_extensions": stored if said is None else extensions(said),
        "required_modules": sent.required_modules if sent else (),
    }


def repeated(arguments: Arguments, sent: SentCredentials | None) -> Arguments:
    """Return the arguments, completed by the identity that a party was last sent."""
    if sent is None:
        return arguments
    known = {name: getattr(sent, name) for name in _IDENTITY[:3]} | {"name": sent.business_details.name}
    return Arguments(**{**vars(arguments), **{name: _said(arguments, name) or known[name] for name in _IDENTITY}})


def say_what_differs(emsp: Emsp, sent: SentCredentials | None) -> None:
    """Report on stderr what differs from the credentials that the party was last sent."""
    for name, before, now in _differences(emsp, sent) if sent else ():
        output.say(f"{name} is now {_shown(now)}; the party last received {_shown(before)}")


def _differences(emsp: Emsp, sent: SentCredentials) -> Iterator[tuple[str, object, object]]:
    ours = emsp.identity
    before, now = sent.business_details, ours.business_details
    pairs = {
        "url": (sent.url, ours.url),
        "country_code": (sent.country_code, ours.country_code),
        "party_id": (sent.party_id, ours.party_id),
        "name": (before.name, now.name),
        "website": (before.website, now.website),
        "logo": (before.logo, now.logo),
        "credentials_extensions": (sent.known_extensions, dict(ours.credentials_extensions)),
    }
    return ((name, *pair) for name, pair in pairs.items() if pair[0] != pair[1])


def _shown(value: object) -> str:
    if value is None:
        return "absent"
    return f"'{value}'" if isinstance(value, str) else encode(value).decode()


def _details(arguments: Arguments, sent: BusinessDetails | None) -> BusinessDetails:
    website = _said(arguments, "website")
    return BusinessDetails(
        name=_said(arguments, "name") or (sent.name if sent else ""),
        website=_unless_none(website, sent.website if sent else None),
        logo=_logo(arguments, sent.logo if sent else None),
    )


def _logo(arguments: Arguments, sent: Image | None) -> Image | None:
    url = _said(arguments, "logo")
    parts = {name: value for name in _PARTS if (value := _said(arguments, f"logo_{name}")) is not None}
    if "category" in parts:
        parts["category"] = ImageCategory(parts["category"])
    if url == NONE:
        return None
    if url is None and sent is None:
        if parts:
            raise Usage(f"--logo-{next(iter(parts))} needs --logo")
        return None
    if sent is not None and url in (None, sent.url):
        return evolve(sent, **parts)
    return Image(url=str(url), **{"category": ImageCategory.OPERATOR, "type": _type_of(str(url), parts), **parts})


def _type_of(url: str, parts: Mapping[str, Any]) -> str:
    """Return the type of an image, by the end of its URL. Raises Usage."""
    suffix = PurePosixPath(urlsplit(url).path).suffix.removeprefix(".").lower()
    if "type" not in parts and not 0 < len(suffix) <= len("jpeg"):
        raise Usage(f"the type of the logo '{url}' is not in its URL: set --logo-type, for example png")
    return "jpeg" if suffix == "jpg" else suffix


def _unless_none(said: str | None, sent: str | None) -> str | None:
    return sent if said is None else None if said == NONE else said


def _said(arguments: Arguments, name: str) -> Any:
    """Return the value of a setting; None if the command has no such setting, or it is not given."""
    return getattr(arguments, name, None)


def extensions(text: str) -> dict[str, Any]:
    """Return the members in a JSON object. Raises Usage."""
    try:
        found = msgspec.json.decode(text)
    except msgspec.DecodeError:
        found = None
    if not isinstance(found, dict):
        raise Usage(f"invalid extensions '{text[:200]}': expected a JSON object, for example {{\"vendor_id\": 7}}")
    return found
