"""The last word wins: whatever is put, patched and pulled, in any order, what the partner said last is what stands.

The suite tries a few examples, always the same; ``make laws`` tries 10,000 new ones on every store. What is expected is
computed by last_word.py, an account of its own.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any

import pytest
from attrs import evolve, field, frozen
from hypothesis import given, note, strategies as st

from foreign.last_word import Account, Part, Time, Word
from foreign.laws import Partner, lawful
from ocpi_emsp.testing.cpo import samples
from ocpi_emsp.testing.cpo.wire import encode, timestamp
from sync.support import NOW, Document, synced

LONGEST = 8
"""Words of an example."""
EVSES = ("E1", "E2", "E3")


@pytest.fixture
def partner(store: Any) -> Iterator[Partner]:
    with synced(store=store) as pair:
        pair.cpo.ignores_dates = True
        yield Partner(pair, [])


# --- words ----------------------------------------------------------------------------------------------------------


@frozen
class Said:
    """A word, and how it arrives."""

    kind: str
    how: str
    word: Word
    uid: str = ""
    named: frozenset[str] = frozenset()
    """The members that a PATCH names."""


TIMES: st.SearchStrategy[Time] = st.none() | st.integers(0, 6)
MEMBERS: Mapping[str, Mapping[str, Sequence[Any]]] = {
    "location": {"name": ("A", "B", None), "city": ("Gent", "Assen")},
    "evse": {"status": ("AVAILABLE", "CHARGING", "REMOVED"), "floor_level": ("1", "2", None)},
    "connector": {"amperage": (16, 32, 63), "tariff_id": ("T1", "T2", None)},
    "session": {"status": ("ACTIVE", "COMPLETED", "INVALID"), "kwh": (1, 2, 3), "meter_id": ("M1", "M2", None)},
    "tariff": {"currency": ("EUR", "GBP"), "tariff_alt_url": ("https://a.test", "https://b.test", None)},
}
"""What is said of each kind; None: absent, or null in a PATCH."""
BELOW = {"location": ("evses", "uid", "evse"), "evse": ("connectors", "id", "connector")}
NAMES = sorted({name for members in MEMBERS.values() for name in members} | {"parts"})
SAMPLES: Mapping[str, Callable[[str], Document]] = {
    "location": samples.location,
    "evse": samples.evse,
    "connector": samples.connector,
    "session": samples.session,
    "tariff": samples.tariff,
}
PLACES = ("location", "evse", "connector")


def words(kind: str, ids: Sequence[str], below: st.SearchStrategy[Word] | None = None) -> st.SearchStrategy[Word]:
    """Words about one of the parts with these ids: all that there is to say."""
    content = st.fixed_dictionaries({name: st.sampled_from(values) for name, values in MEMBERS[kind].items()})
    parts: st.SearchStrategy[list[Word]] = st.just([])
    if below is not None:
        parts = st.lists(below, min_size=int(kind == "evse"), max_size=3, unique_by=lambda word: word.id)
    return st.builds(Word, st.sampled_from(ids), TIMES, content, parts.map(tuple))


CONNECTOR = words("connector", ("1", "2", "3"))
EVSE = words("evse", EVSES, CONNECTOR)
WORDS = {
    "location": words("location", ("X",), EVSE),
    "evse": EVSE,
    "connector": CONNECTOR,
    "session": words("session", ("X",)),
    "tariff": words("tariff", ("X",)),
}


@st.composite
def said(draw: st.DrawFn, kinds: Sequence[str]) -> Said:
    """A word about one of these kinds, on one of the ways on which it can arrive."""
    kind = draw(st.sampled_from(kinds))
    how = draw(st.sampled_from(("put", "patch") if kind in PLACES[1:] else ("put", "patch", "pull")))
    names = draw(st.frozensets(st.sampled_from(NAMES))) if how == "patch" else frozenset()
    return Said(kind, how, draw(WORDS[kind]), draw(st.sampled_from(EVSES)), names)


def stories(kinds: Sequence[str]) -> st.SearchStrategy[list[Said]]:
    """What is said of one object; it begins with the object."""
    first = st.builds(Said, st.just(kinds[0]), st.sampled_from(("put", "pull")), WORDS[kinds[0]])
    return st.builds(lambda head, tail: [head, *tail], first, st.lists(said(kinds), max_size=LONGEST))


def named(word: Word, names: frozenset[str], known: Part | None) -> Word:
    """What a PATCH says of a word: the members that it names; of a part that is new, all."""
    if known is None:
        return word
    content = {name: value for name, value in word.content.items() if name in names}
    parts = [named(each, names, known.parts.get(each.id)) for each in word.parts if "parts" in names]
    return evolve(word, content=content, parts=tuple(parts))


def written(kind: str, word: Word, start: datetime, *, is_whole: bool, known: Part | None) -> Document:
    """A word as a document."""
    document: Document = dict(word.content)
    if is_whole:
        document = SAMPLES[kind](word.id) | {name: value for name, value in document.items() if value is not None}
        document = {name: value for name, value in document.items() if word.content.get(name, "") is not None}
        del document["last_updated"]
    if word.time is not None:
        document["last_updated"] = timestamp(start + timedelta(seconds=word.time))
    if kind in BELOW and (is_whole or word.parts):
        name, key, below = BELOW[kind]
        stored = known.parts if known is not None else {}
        document[name] = [
            {
                **written(below, each, start, is_whole=is_whole or each.id not in stored, known=stored.get(each.id)),
                key: each.id,
            }
            for each in word.parts
        ]
    return document


# --- said, and compared ---------------------------------------------------------------------------------------------


@frozen
class Desk:
    """Says words about one object to the eMSP, and to the account."""

    partner: Partner
    id: str
    start: datetime
    account: Account = field(factory=Account)

    def say(self, said: Said) -> None:
        self.partner.pair.clock.time += timedelta(seconds=1)
        patches, word = said.how == "patch", said.word
        if said.kind not in PLACES[1:]:
            word = evolve(word, id=self.id)
        known = self._known(said, word)
        if patches:
            word = named(word, said.named, known or Part())
            if not word.content and not word.parts and word.time is None:
                return  # a PATCH of nothing is refused, and says nothing
        document = written(said.kind, word, self.start, is_whole=not patches, known=known)
        path = self._path(said, word)
        note(f"{said.how} {path} {word}")
        is_known = self._account(said, word, patches=patches)
        if said.how == "pull":
            self.partner.pull(f"{said.kind}s", encode(document))
            return
        status, envelope = self.partner.push(said.how.upper(), path, encode(document))
        assert (status // 100, envelope["status_code"] // 1000) == ((2, 1) if is_known else (4, 2)), envelope

    def _known(self, said: Said, word: Word) -> Part | None:
        place = self.account.said.get(self.id)
        if place is None or said.kind not in PLACES[1:]:
            return place
        evse = place.parts.get(word.id if said.kind == "evse" else said.uid)
        return evse if evse is None or said.kind == "evse" else evse.parts.get(word.id)

    def _account(self, said: Said, word: Word, *, patches: bool) -> bool:
        match said.kind:
            case "location":
                return self.account.location(word, patches=patches)
            case "evse":
                return self.account.evse(self.id, word, patches=patches)
            case "connector":
                return self.account.connector(self.id, said.uid, word, patches=patches)
        return self.account.single(word, patches=patches)

    def _path(self, said: Said, word: Word) -> str:
        below = {"evse": [word.id], "connector": [said.uid, word.id]}.get(said.kind, [])
        module = "locations" if said.kind in PLACES else f"{said.kind}s"
        return "/".join([module, "*", self.id, *below])


def seen(kind: str, document: Document) -> Document:
    """What a stored document says."""
    found = {name: document[name] for name in MEMBERS[kind] if document.get(name) is not None}
    if kind in BELOW:
        name, key, below = BELOW[kind]
        found["parts"] = {each[key]: seen(below, each) for each in document.get(name, ())}
        assert len(found["parts"]) == len(document.get(name, ()))
    return found


def stands(kind: str, part: Part) -> Document:
    """What stands by the account."""
    found: Document = {name: value for name, value in part.content.items() if value is not None}
    if kind in BELOW:
        found["parts"] = {name: stands(BELOW[kind][2], each) for name, each in part.parts.items()}
    return found


TOLD = st.sampled_from([PLACES, PLACES, PLACES, ("session",), ("tariff",)]).flatmap(
    lambda kinds: st.tuples(st.just(kinds[0]), stories(kinds))
)


@lawful(60)
@given(told=TOLD, start=st.sampled_from((NOW - timedelta(days=30), NOW - timedelta(seconds=2))))
def test_the_last_word_wins(partner: Partner, told: tuple[str, list[Said]], start: datetime) -> None:
    kind, story = told
    partner.pair.clock.time = NOW
    desk = Desk(partner, partner.new_id(f"{kind[:3].upper()}-"), start)
    for each in story:
        desk.say(each)
        # After each word: what is wrong for a while only is wrong, too.
        _, envelope = partner.push("GET", f"{kind}s/*/{desk.id}", b"")
        assert seen(kind, envelope["data"]) == stands(kind, desk.account.said[desk.id])
