"""Arguments about prices: readings, tariffs, a location."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from ocpi_emsp.cli import files
from ocpi_emsp.cli.documents import documents
from ocpi_emsp.cli.errors import Usage
from ocpi_emsp.cli.kinds import Unclear, guess
from ocpi_emsp.cli.payloads import Part
from ocpi_emsp.codec import decode
from ocpi_emsp.errors import InvalidObject, NotJson
from ocpi_emsp.pricing import Readings
from ocpi_emsp.pricing.session.zones import require_zone


def settings_of(texts: Sequence[str]) -> dict[str, str]:
    """Return the settings of ``--set NAME=VALUE``. Raises Usage for one that is set twice or has no value."""
    found = dict[str, str]()
    for text in texts:
        name, equals, value = text.partition("=")
        if not equals:
            raise Usage(f"--set: invalid reading '{text}': expected NAME=VALUE, for example step=per_period")
        if name in found:
            raise Usage(f"--set: the reading {name} is set twice")
        found[name] = value
    return found


def usable_readings(texts: Sequence[str]) -> Readings:
    """Return the default readings with these settings. Raises Usage that names the readings, or the values of one."""
    try:
        return Readings.of(settings_of(texts))
    except ValueError as error:
        raise Usage(f"--set: {error}") from None


def usable_zone(time_zone: str | None) -> str | None:
    """Return the zone of ``--time-zone``. Raises Usage for an unknown one."""
    try:
        return require_zone(time_zone)
    except ValueError as error:
        raise Usage(str(error).replace("time_zone", "--time-zone", 1)) from None


def objects_of(option: str, path: str, kind: type[Any]) -> list[bytes]:
    """Return the objects of one kind in a file, at least one, all of them usable. Raises Usage."""
    with files.opened(path) as stream:
        found = [part for part in documents(stream, path) if not (part.envelope or part.partial)]
    if not found:
        raise Usage(f"{option}: {path}: it holds no {kind.__name__}")
    for part in found:
        _require_usable(f"{option}: {': '.join(each for each in (path, part.place, part.pointer) if each)}", part, kind)
    return [part.document for part in found]


def _require_usable(place: str, part: Part, kind: type[Any]) -> None:
    if part.too_long:
        raise Usage(f"{place}: too long to be read")
    other = part.kind or _guessed(part.document)
    if other is not None and other is not kind:
        raise Usage(f"{place}: expected a {kind.__name__}, found a {other.__name__}")
    try:
        decode(kind, part.document)
    except (NotJson, InvalidObject) as error:
        raise Usage(f"{place}: {error.reason}") from None


def _guessed(document: bytes) -> type[Any] | None:
    try:
        return guess(document)
    except Unclear:
        return None
