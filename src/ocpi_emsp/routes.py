"""One table of every path, in both directions: it matches incoming paths and builds outgoing ones.

Rules of this module (the URL tables of each chapter; docs/spec-choices.md row 17):
- a route's path is relative to its module's endpoint; ids are percent-decoded and encoded per segment;
- an endpoint is called as announced; the path below it is joined with exactly one slash;
- doubled slashes are read as one, except behind the owner of an object, where they stand for an empty id;
- module names and the fixed words of a path are case-insensitive, ids are case-sensitive;
- ``row`` is the path of the support matrix row that switches the route; None is always on.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from typing import TypeAlias
from urllib.parse import quote, unquote

from attrs import define, frozen

from ocpi_emsp.support import FROM_CPO, TO_CPO, SupportMatrix

VERSION = "2.1.1"


@frozen
class Route:
    """One method of one path. ``name`` identifies the flow that serves it or makes the call."""

    name: str
    method: str
    module: str
    path: tuple[str, ...]
    direction: str
    row: str | None

    def on(self, matrix: SupportMatrix) -> bool:
        """Return True if the matrix switches this route on."""
        return self.row is None or matrix.supports(self.module, self.direction, self.method, self.row)

    def url(self, endpoint: str, *, trailing_slash: bool = False, **params: str) -> str:
        """Return the URL of this route below a module's endpoint, before the endpoint's query; parameters are
        percent-encoded.

        The endpoint itself is called as announced, with or without a trailing slash. ``trailing_slash``: the URL ends
        with a slash, as some partners require.
        """
        path, mark, query = endpoint.partition("?")
        if self.path:
            filled = (quote(params[part[1:-1]], safe="") if part.startswith("{") else part for part in self.path)
            path = "/".join([path.rstrip("/"), *filled])
        if trailing_slash and not path.endswith("/"):
            path += "/"
        return f"{path}{mark}{query}"


@define  # created for each request; a frozen class takes twice as long in attrs
class Match:
    """The target of an incoming path: its routes by method, and the decoded parameters."""

    routes: Mapping[str, Route]
    params: Mapping[str, str]


def _routes(direction: str, module: str, *entries: tuple[str, str, str, str | None]) -> list[Route]:
    return [
        Route(f"{module}.{name}", method, module, tuple(path.split("/")) if path else (), direction, row)
        for name, method, path, row in entries
    ]


def _methods(path: str, row: str, *methods: str) -> list[tuple[str, str, str, str]]:
    """Return the routes of one path and row, each named after its method."""
    return [(method.lower(), method, path, row) for method in methods]


_OWNED = "{country_code}/{party_id}"
_LOCATION, _EVSE = _OWNED + "/{location_id}", _OWNED + "/{location_id}/{evse_uid}"
_CONNECTOR, _SESSION, _TARIFF = _EVSE + "/{connector_id}", _OWNED + "/{session_id}", _OWNED + "/{tariff_id}"
_TOKEN = _OWNED + "/{token_uid}"

INCOMING: tuple[Route, ...] = (
    Route("versions.get", "GET", "versions", (), FROM_CPO, None),
    Route("version_details.get", "GET", VERSION, (), FROM_CPO, None),
    *_routes(FROM_CPO, "credentials", ("get", "GET", "", None)),
    *_routes(FROM_CPO, "credentials", *_methods("", "/credentials", "POST", "PUT", "PATCH", "DELETE")),
    *_routes(
        FROM_CPO,
        "locations",
        ("get_location", "GET", _LOCATION, "/locations"),
        ("get_evse", "GET", _EVSE, "/locations"),
        ("get_connector", "GET", _CONNECTOR, "/locations"),
        ("put_location", "PUT", _LOCATION, "/locations/:path"),
        ("put_evse", "PUT", _EVSE, "/locations/:path"),
        ("put_connector", "PUT", _CONNECTOR, "/locations/:path"),
        ("patch_location", "PATCH", _LOCATION, "/locations/:path"),
        ("patch_evse", "PATCH", _EVSE, "/locations/:path"),
        ("patch_connector", "PATCH", _CONNECTOR, "/locations/:path"),
    ),
    *_routes(FROM_CPO, "sessions", *_methods(_SESSION, "/sessions/:path", "GET", "PUT", "PATCH")),
    *_routes(FROM_CPO, "cdrs", ("get", "GET", "{cdr_id}", "/cdrs/:path"), ("post", "POST", "", "/cdrs")),
    *_routes(
        FROM_CPO,
        "tariffs",
        *_methods(_TARIFF, "/tariffs", "GET"),
        *_methods(_TARIFF, "/tariffs/:path", "PUT", "PATCH", "DELETE"),
    ),
    *_routes(
        FROM_CPO,
        "tokens",
        ("list", "GET", "", "/tokens"),
        ("authorize", "POST", "{token_uid}/authorize", "/tokens/:tokenUid/authorize"),
    ),
    *_routes(FROM_CPO, "commands", ("result", "POST", "{command}/{uid}", None)),
)

OUTGOING: tuple[Route, ...] = (
    *_routes(TO_CPO, "credentials", *_methods("", "/credentials", "GET", "POST", "PUT", "PATCH", "DELETE")),
    *_routes(
        TO_CPO,
        "locations",
        ("list", "GET", "", "/locations"),
        ("get_location", "GET", "{location_id}", "/locations"),
        ("get_evse", "GET", "{location_id}/{evse_uid}", "/locations"),
        ("get_connector", "GET", "{location_id}/{evse_uid}/{connector_id}", "/locations"),
    ),
    *_routes(TO_CPO, "sessions", ("list", "GET", "", "/sessions")),
    *_routes(TO_CPO, "cdrs", ("list", "GET", "", "/cdrs")),
    *_routes(TO_CPO, "tariffs", ("list", "GET", "", "/tariffs")),
    *_routes(TO_CPO, "tokens", *_methods(_TOKEN, "/tokens/:path", "GET", "PUT", "PATCH")),
    *_routes(
        TO_CPO,
        "commands",
        *(
            (command, "POST", command, f"/commands/{command}")
            for command in ("RESERVE_NOW", "START_SESSION", "STOP_SESSION", "UNLOCK_CONNECTOR")
        ),
    ),
)


def incoming(name: str) -> Route:
    """Return the incoming route of this name."""
    return _BY_NAME[FROM_CPO, name]


def outgoing(name: str) -> Route:
    """Return the outgoing route of this name."""
    return _BY_NAME[TO_CPO, name]


_BY_NAME = {(route.direction, route.name): route for route in (*INCOMING, *OUTGOING)}


_Entry: TypeAlias = tuple[tuple[tuple[int, str], ...], tuple[tuple[int, str], ...], dict[str, Route]]
"""The parameters and the fixed words of a path, by position, and its routes by method."""


def _table(routes: Iterable[Route]) -> dict[tuple[str, int], _Entry]:
    """Return routes by module and number of segments, which distinguishes the incoming paths of 2.1.1."""
    table: dict[tuple[str, int], _Entry] = {}
    for route in routes:
        names = tuple((place, part[1:-1]) for place, part in enumerate(route.path) if part[0] == "{")
        words = tuple((place, part) for place, part in enumerate(route.path) if part[0] != "{")
        table.setdefault((route.module, len(route.path)), (names, words, {}))[2][route.method] = route
    return table


_TABLE = _table(INCOMING)
MODULES = tuple(dict.fromkeys(route.module for route in INCOMING[2:]))
"""The modules of the eMSP interface, in the order of the table."""


def match(path: str) -> Match | None:
    """Return the target of a raw path below our base, or None. ``path`` starts with a slash; a trailing one is
    ignored.
    """
    segments = (_single_slashes(path) if "//" in path else path).strip("/").split("/")
    start = 2 if segments[0] == VERSION and len(segments) > 1 else 1
    module = segments[start - 1].lower()
    if (start == 1) != (module in ("versions", VERSION)):
        return None
    entry = _TABLE.get((module, len(segments) - start))
    if entry is None:
        return Match({}, {}) if len(segments) == start and module in MODULES else None
    names, words, routes = entry
    for position, word in words:
        if segments[start + position].lower() != word:
            return None
    values = {name: segments[start + position] for position, name in names}
    if "" in values.values():
        return None
    return Match(routes, {name: unquote(value) for name, value in values.items()} if "%" in path else values)


def below(path: str, *bases: str) -> str:
    """Return the raw path without its base: the public one, or the prefix of a mount.

    A proxy may have stripped either already, so the first base counts below which one of our paths begins.
    """
    path = _single_slashes(path)
    for base in bases:
        rest = path[len(base) :] if base and path.startswith(base) else path
        if rest[:_LONGEST_ROOT].lower().startswith(_ROOTS):
            return rest
    return path


def is_below(path: str, base: str) -> bool:
    """Return True if the raw path is below the public base, which may be empty: then it must begin with one of our
    paths.
    """
    path = _single_slashes(path)
    if not path.startswith(base):
        return False
    return path[len(base) :][:1] in ("", "/") if base else path.lower().startswith(_ROOTS)


def _single_slashes(path: str) -> str:
    """Return the path with doubled slashes read as one: some partners put one between an endpoint and the path below
    it.

    Behind an owner they stay: an EVSE of a location without an id is not a location.
    """
    if "//" not in path:
        return path
    owned = _OWNER_OF.match(path)
    end = owned.end() if owned else len(path)
    return _SLASHES.sub("/", path[:end]) + path[end:]


_SLASHES = re.compile("/{2,}")
_OWNER_OF = re.compile(rf".*?/{re.escape(VERSION)}/+(?:locations|sessions|tariffs)/+[^/]+/+[^/]+", re.IGNORECASE)
"""Matches a path up to its party_id, for modules whose paths have one."""
_ROOTS = ("/versions", f"/{VERSION}")
_LONGEST_ROOT = max(map(len, _ROOTS))
