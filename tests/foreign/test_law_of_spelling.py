"""No spelling matters: what says the same changes nothing, on every way on which it can arrive (issue 11, number 32).

The suite tries a few examples, always the same; ``make laws`` tries 10,000 new ones on every store.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

import pytest
from hypothesis import given, note, strategies as st

from foreign.laws import Partner, lawful
from foreign.respelling import UNSAID, Spelling, spellings
from foreign.ways import WAYS, Way, at, below
from ocpi_emsp import Cdr, Connector, Evse, Location, Session, Tariff
from ocpi_emsp.codec import encode, parse
from ocpi_emsp.events import Event
from ocpi_emsp.ports import Kind
from ocpi_emsp.testing.strategies import from_model, full
from sync.support import Document, location, synced

MODELS: Mapping[str, type[Any]] = {
    "location": Location,
    "evse": Evse,
    "connector": Connector,
    "session": Session,
    "cdr": Cdr,
    "tariff": Tariff,
}
OF_MODULE: Mapping[str, type[Any]] = {"locations": Location, "sessions": Session, "cdrs": Cdr, "tariffs": Tariff}
OF_DEPTH = (Location, Evse, Connector)
EVERY_WAY = [(kind, way) for kind, ways in WAYS.items() for way in ways]
IDS = {"evses": "uid", "connectors": "id"}


@pytest.fixture
def partner(store: Any) -> Iterator[Partner]:
    events = list[Event]()
    with synced(store=store, listen=events) as pair:
        pair.cpo.ignores_dates = True
        yield Partner(pair, events)


@st.composite
def wholes(draw: st.DrawFn, kind: str) -> Document:
    """A whole object of a module, with a drawn EVSE or connector where the kind is one."""
    model = MODELS[kind]
    document: Document = parse(encode(draw(from_model(model) | full(model))))
    if draw(st.booleans()):
        document["x_vendor"] = {"rate": [1, 2, {"a": 100}], "name": "Zoë/\U0001f50c", "count": 0}
    if draw(st.booleans()):
        document["last_updated"] = "2024-02-03T04:05:06.78Z"
    if kind == "connector":
        document = {**location(1)["evses"][0], "connectors": [{**document, "id": "1"}]}
    if kind in ("evse", "connector"):
        document = location(1) | {"evses": [{**document, "uid": "LOC1-E1"}]}
    return document


@st.composite
def parts(draw: st.DrawFn, document: Document, key: str = "") -> Document:
    """Some members of an object, as a PATCH has them; those of an EVSE or connector in it, too."""
    names = draw(st.lists(st.sampled_from(sorted(document)), min_size=1, unique=True))
    part: Document = {name: value if name in names or name == key else UNSAID for name, value in document.items()}
    for name, below_it in IDS.items():
        if part.get(name, UNSAID) is not UNSAID:
            part[name] = [draw(parts(each, below_it)) for each in part[name]]
    return part


@lawful(40)
@given(data=st.data(), chosen=st.sampled_from(EVERY_WAY), first=spellings(), second=spellings())
def test_no_spelling_matters(
    partner: Partner, data: st.DataObject, chosen: tuple[str, Way], first: Spelling, second: Spelling
) -> None:
    kind, way = chosen
    module, model, place = way.module, OF_MODULE[way.module], below(way)
    whole = data.draw(wholes(kind)) | {"id": "X"}
    sent = at(whole, place)
    if way.method == "PATCH":
        sent = data.draw(parts(sent))
    if kind == "session" and way.method == "PATCH":
        partner.pair.emsp.partner("NL-TNM").set_profile(append_charging_periods=data.draw(st.booleans()))
    # What follows draws nothing more: it depends on what is stored already.
    object_id = partner.new_id("X")
    whole["id"] = object_id
    if not place and sent["id"] is not UNSAID:
        sent["id"] = object_id
    body, other = first.write(model, whole), second.write(OF_DEPTH[len(place) // 2] if place else model, sent)
    note(f"{body!r}\n{way.module} {way}: {other!r}")
    path = module if module == "cdrs" else f"{module}/*/{object_id}"
    status, envelope = partner.push("POST" if module == "cdrs" else "PUT", path, body)
    assert (status, envelope["status_code"]) == (201, 1000), envelope
    before = partner.hashes(module, object_id)
    partner.events.clear()
    if not way.method:
        report = partner.pull(module, other)
        assert (report.created, report.updated, report.unchanged, report.notes) == (0, 0, 1, ()), report
    else:
        status, envelope = partner.push(way.method, "/".join([path, *way.path.split("/")[3:]]), other)
        assert (status // 100, envelope["status_code"]) == (2, 1000), envelope
    assert partner.events == []
    assert partner.hashes(module, object_id) == before
    assert partner.pair.records(Kind.CDR_CONFLICT) == []
