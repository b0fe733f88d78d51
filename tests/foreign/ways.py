"""The ways on which an object of a partner arrives: pushed or pulled, by itself or inside of another, whole or a PATCH.

`WAYS` is the table: a new way is tried with every input. What is below it is the same table, for tests that ask less:
`HOW` a whole object arrives, what is `PUSHED` by itself, and what is `PATCHED`.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from copy import deepcopy
from decimal import Decimal
from typing import Any, Literal, TypeAlias

from attrs import field, frozen

from ocpi_emsp.testing.cpo import samples
from ocpi_emsp.testing.cpo.wire import encode
from ocpi_emsp.wire import Request
from sync.support import Document, Synced, cdr, location, session, synced, tariff

Case: TypeAlias = Mapping[str, Any]
Found: TypeAlias = tuple[str, str, str]
"""Pointer, rule and severity."""


@frozen
class Way:
    """One way: the module, the method (empty: pulled), the path, and where the object lies in the location."""

    name: str
    module: str
    method: str
    path: str
    place: tuple[str | int, ...] = ()

    def __str__(self) -> str:
        return self.name


_EVSE, _CONNECTOR = ("evses", 0), ("connectors", 0)
WAYS: Mapping[str, Sequence[Way]] = {
    "location": (
        Way("put", "locations", "PUT", "locations/*/LOC1"),
        Way("patch", "locations", "PATCH", "locations/*/LOC1"),
        Way("pull", "locations", "", ""),
    ),
    "evse": (
        Way("put", "locations", "PUT", "locations/*/LOC1/LOC1-E1", _EVSE),
        Way("patch", "locations", "PATCH", "locations/*/LOC1/LOC1-E1", _EVSE),
        Way("put-location", "locations", "PUT", "locations/*/LOC1", _EVSE),
        Way("patch-location", "locations", "PATCH", "locations/*/LOC1", _EVSE),
        Way("pull", "locations", "", "", _EVSE),
    ),
    "connector": (
        Way("put", "locations", "PUT", "locations/*/LOC1/LOC1-E1/1", (*_EVSE, *_CONNECTOR)),
        Way("patch", "locations", "PATCH", "locations/*/LOC1/LOC1-E1/1", (*_EVSE, *_CONNECTOR)),
        Way("put-evse", "locations", "PUT", "locations/*/LOC1/LOC1-E1", (*_EVSE, *_CONNECTOR)),
        Way("put-location", "locations", "PUT", "locations/*/LOC1", (*_EVSE, *_CONNECTOR)),
        Way("pull", "locations", "", "", (*_EVSE, *_CONNECTOR)),
    ),
    "session": (
        Way("put", "sessions", "PUT", "sessions/*/SES1"),
        Way("patch", "sessions", "PATCH", "sessions/*/SES1"),
        Way("pull", "sessions", "", ""),
    ),
    "cdr": (Way("post", "cdrs", "POST", "cdrs"), Way("pull", "cdrs", "", "")),
    "tariff": (
        Way("put", "tariffs", "PUT", "tariffs/*/TAR1"),
        Way("patch", "tariffs", "PATCH", "tariffs/*/TAR1"),
        Way("pull", "tariffs", "", ""),
    ),
}
How: TypeAlias = Literal["push", "pull"]
HOW: tuple[How, ...] = ("push", "pull")
PLACE = samples.location("LOC1")
_SAMPLES: Mapping[str, Document] = {
    "location": PLACE,
    "evse": PLACE["evses"][0],
    "connector": PLACE["evses"][0]["connectors"][0],
    "session": samples.session("SES1", at=PLACE),
    "cdr": samples.cdr("CDR1", of=samples.session("SES1", at=PLACE)),
    "tariff": samples.tariff("TAR1"),
}
_CHANGES: Mapping[str, Document] = {
    "location": {"city": "Assen"},
    "evse": {"floor_level": "7"},
    "connector": {"voltage": 123},
    "session": {"kwh": 77},
    "tariff": {"currency": "SEK"},
}
PUSHED = [
    (way.method, way.path, _SAMPLES[kind]) for kind, ways in WAYS.items() for way in ways if way.name in ("put", "post")
]
"""Method, path and body of every object that a CPO pushes by itself."""
PATCHED = [(way.path, _CHANGES[kind]) for kind, ways in WAYS.items() for way in ways if way.name == "patch"]
"""The path of every object that is patched by itself, and a change."""
_MADE: Mapping[str, Callable[[], Document]] = {
    "locations": lambda: location(1),
    "sessions": lambda: session(1, status="ACTIVE"),
    "cdrs": lambda: cdr(1, tariffs=[tariff(1)]),
    "tariffs": lambda: tariff(1),
}
_IDS = {"locations": "LOC1", "sessions": "SES1", "cdrs": "CDR1", "tariffs": "TAR1"}


@frozen
class Said:
    """What became of what was sent."""

    code: int
    message: str
    findings: list[Found] = field(factory=list)


@frozen
class Desk:
    """A partner that sends a changed object on one way."""

    pair: Synced
    way: Way

    def send(self, change: Callable[[Document], Any]) -> Said:
        """Send the sample as ``change`` leaves it."""
        whole = _MADE[self.way.module]()
        changed = deepcopy(whole)
        change(at(changed, self.way.place))
        if not self.way.method:
            return self._pull(changed)
        if self.way.method == "PATCH":
            self._push("PUT", f"{self.way.module}/*/{_IDS[self.way.module]}", whole)
            return self._push("PATCH", self.way.path, self._patch(whole, changed))
        if self.way.module == "locations":
            self._push("PUT", "locations/*/LOC1", whole)
        return self._push(self.way.method, self.way.path, at(changed, below(self.way)))

    def stored(self) -> Any:
        """The typed view of what was sent."""
        found = getattr(self.pair.emsp, self.way.module).get("NL-TNM", _IDS[self.way.module])
        assert found is not None
        return at(found, self.way.place)

    def findings(self) -> list[Found]:
        """The findings about the object that is stored, with pointers into it."""
        found = getattr(self.pair.emsp, self.way.module).document("NL-TNM", _IDS[self.way.module])
        assert found is not None
        return [(each.pointer, each.rule, each.severity.value) for each in found.findings]

    def _patch(self, whole: Document, changed: Document) -> Document:
        place = below(self.way)
        return _patch(at(whole, place), at(changed, place), keyed=self.way.module == "locations")

    def pointer(self, pointer: str) -> str:
        """A pointer into the object, as a pointer into what is sent."""
        return "".join(f"/{step}" for step in self.way.place[len(below(self.way)) :]) + pointer

    def _push(self, method: str, path: str, body: Any) -> Said:
        target = "/2.1.1/" + path.replace("*/", "NL/TNM/", 1)
        headers = {"authorization": f"Token {self.pair.token}"}
        response = self.pair.emsp.handle(Request(method, target, headers=headers, body=encode(body)))
        envelope = json.loads(response.body, parse_float=Decimal)
        assert response.status < 300, envelope
        data = envelope.get("data") or []
        findings = [(each["pointer"], each["rule"], each["severity"]) for each in data if isinstance(each, dict)]
        return Said(envelope["status_code"], envelope["status_message"], findings)

    def _pull(self, document: Document) -> Said:
        self.pair.cpo.lists[self.way.module] = [document]
        report = self.pair.pull(self.way.module)
        for each in report.rejections:
            findings = [(one.pointer, one.rule, one.severity.value) for one in each.findings]
            return Said(2001, each.reason, findings)
        return Said(1000, "\n".join(["Success", *report.notes]))


def below(way: Way) -> tuple[str | int, ...]:
    """Where what the path names lies in the location."""
    depth = way.path.count("/") - 2 if way.module == "locations" else 0
    return (*_EVSE, *_CONNECTOR)[: max(depth, 0) * 2]


def at(document: Any, place: Sequence[str | int]) -> Any:
    """What lies there in a document, or in a typed view."""
    for step in place:
        document = getattr(document, str(step)) if hasattr(document, str(step)) else document[step]
    return document


def _patch(old: Document, new: Document, *, keyed: bool) -> Document:
    """The PATCH that makes one of the other; the lists of a location are patched item by item."""
    patch: Document = {name: None for name in old if name not in new}
    for name, value in new.items():
        if name not in old or old[name] == value:
            patch |= {} if name in old else {name: value}
        elif isinstance(value, dict) and isinstance(old[name], dict):
            patch[name] = _patch(old[name], value, keyed=keyed)
        elif keyed and name in _KEYS and isinstance(value, list):
            pairs = [(one, other) for one, other in zip(old[name], value, strict=True) if one != other]
            key = _KEYS[name]
            patch[name] = [{key: one[key], **_patch(one, other, keyed=keyed)} for one, other in pairs]
        else:
            patch[name] = value
    return patch


_KEYS = {"evses": "uid", "connectors": "id"}


@contextmanager
def desk(way: Way, store: Any = None, **settings: Any) -> Iterator[Desk]:
    """A partner that sends on this way."""
    with synced(store=store, **settings) as pair:
        yield Desk(pair, way)


def changed_by(case: Case) -> Callable[[Document], None]:
    """What a case changes in an object, or in the part at ``at``: members by name, left out, or one item of a list."""

    def change(document: Document) -> None:
        part = at(document, case.get("at", ()))
        part.update(case.get("changes", {}))
        for name in case.get("removed", ()):
            del part[name]
        for name in case.get("single", ()):
            part[name] = part[name][0]
        for name in case.get("wrapped", ()):
            part[name] = [part[name]]

    return change
