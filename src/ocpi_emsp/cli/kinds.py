"""The kind of a document: by name, or by its members.

Rules of this module:
- every object of the specification has its model's name, in any case, singular or plural, with or without separators;
- a document's kind is guessed only by the names of its members, and only if one kind fits well and no other nearly as
  well; a part of an object (a DisplayText, Hours) is never guessed.
"""

from __future__ import annotations

from collections.abc import Set
from functools import lru_cache
from typing import Any

import attrs

from ocpi_emsp import models
from ocpi_emsp.codec.patch import members
from ocpi_emsp.errors import InvalidObject, NotJson

KINDS: dict[str, type[Any]] = {name: kind for name, kind in models.OBJECTS_AND_ENUMS.items() if attrs.has(kind)}
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
"""Objects that partners exchange on their own, so a file may hold them without --as."""

_REQUIRED = 0.6
"""Share of its required members that a guessed kind needs: a location without half of them is left to ``--as``."""
_KNOWN, _KNOWN_SHARE = 5, 0.5
"""Members that must belong to the kind, or their share of all: a partner may add any number of its own."""
_SECOND = 0.85
"""How well the second best may fit, relative to the best."""


_FIELDS = frozenset(name for kind in GUESSED for name in attrs.fields_dict(kind))
"""Every member of a kind that can be guessed."""


class Unclear(Exception):
    """A document that could be of several kinds, or of none."""


def kind_named(name: str) -> type[Any] | None:
    """Return the kind with this name, or None."""
    return _NAMES.get(_plain(name))


def guess(document: bytes) -> type[Any] | None:
    """Return the kind of a document; None if the bytes are not JSON. Raises Unclear."""
    try:
        names = members(document).keys()
    except NotJson:
        return None
    except InvalidObject:
        raise Unclear from None
    kind = _best(frozenset(names & _FIELDS), len(names))
    if kind is None:
        raise Unclear
    return kind


@lru_cache(maxsize=1024)
def _best(known: frozenset[str], count: int) -> type[Any] | None:
    """Return the kind of an object with ``count`` members, ``known`` among them. Cached: objects of a file are much
    alike.
    """
    fits = {kind: _fit(known, count, kind) for kind in GUESSED}
    best, second = sorted(GUESSED, key=lambda kind: fits[kind][0], reverse=True)[:2]
    score, good = fits[best]
    return best if good and fits[second][0] <= score * _SECOND else None


def _fit(names: Set[str], count: int, kind: type[Any]) -> tuple[float, bool]:
    """Return how well names of members fit a kind, and whether that is sufficient."""
    fields = attrs.fields_dict(kind)
    required = {name for name, field in fields.items() if field.default is attrs.NOTHING}
    known, there = len(names & fields.keys()), len(names & required) / len(required)
    return known * there, there >= _REQUIRED and (known >= _KNOWN or known >= count * _KNOWN_SHARE)


def _plain(name: str) -> str:
    return name.lower().translate({ord(separator): None for separator in " -_"})


def _spellings(name: str) -> set[str]:
    plain = _plain(name)
    return {plain, plain + "s", plain + "es", plain.removesuffix("s")}


_NAMES: dict[str, type[Any]] = {spelling: kind for name, kind in KINDS.items() for spelling in _spellings(name)}
