"""What a document is: by name, or by its members.

Rules of this module:
- every object of the specification has its model's name, in any case, singular or plural, with or without separators;
- a document is guessed by the names of its members alone, and only where one kind fits well and no other nearly as
  well; a part of an object (a DisplayText, Hours) is never guessed.
"""

from __future__ import annotations

from typing import Any

import attrs

from ocpi_emsp import models
from ocpi_emsp.codec.patch import members
from ocpi_emsp.errors import InvalidObject, NotJson

KINDS: dict[str, type[Any]] = {name: model for name in models.__all__ if attrs.has(model := getattr(models, name))}
"""Every kind by its name."""

GUESSED: tuple[type[Any], ...] = (
    models.Location,
    models.Evse,
    models.Connector,
    models.Session,
    models.Cdr,
    models.Tariff,
    models.Token,
    models.Credentials,
    models.VersionDetail,
    models.Version,
    models.Endpoint,
    models.CommandResponse,
    models.LocationReferences,
    models.AuthorizationInfo,
    models.ReserveNow,
    models.StartSession,
    models.StopSession,
    models.UnlockConnector,
)
"""What partners exchange on its own, so what a file may hold without being told."""

_FITS = 0.6
"""The least fit of a guess: a location with half of its members missing is left to ``--as``."""
_MARGIN = 0.15
"""How far the second best must be behind."""


class Unclear(Exception):
    """A document that could be of several kinds, or of none."""


def kind_named(name: str) -> type[Any] | None:
    """The kind with this name, or None."""
    return _NAMES.get(_plain(name))


def guess(document: bytes) -> type[Any] | None:
    """The kind of a document; None where the bytes are no JSON. Raises Unclear."""
    try:
        names = members(document).keys()
    except NotJson:
        return None
    except InvalidObject:
        raise Unclear from None
    fits = sorted(((_fit(names, kind), kind) for kind in GUESSED), key=lambda scored: scored[0], reverse=True)
    (best, kind), (second, _) = fits[:2]
    if best < _FITS or best - second < _MARGIN:
        raise Unclear
    return kind


def _fit(names: Any, kind: type[Any]) -> float:
    """From 0 to 1: the harmonic mean of how many members are the kind's, and how many that it requires are there."""
    fields = attrs.fields_dict(kind)
    required = {name for name, field in fields.items() if field.default is attrs.NOTHING}
    known, there = len(names & fields.keys()), len(names & required)
    if not known or not there:
        return 0.0
    precision, recall = known / len(names), there / len(required)
    return 2 * precision * recall / (precision + recall)


def _plain(name: str) -> str:
    return name.lower().translate({ord(separator): None for separator in " -_"})


def _spellings(name: str) -> set[str]:
    plain = _plain(name)
    return {plain, plain + "s", plain + "es", plain.removesuffix("s")}


_NAMES: dict[str, type[Any]] = {spelling: kind for name, kind in KINDS.items() for spelling in _spellings(name)}
