"""Our own tokens: put, patched, invalidated, listed (issue 6, item 4; mod_tokens.md 3.2), on every store."""

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta, timezone
from decimal import Decimal
from pathlib import Path
from typing import Any

import anyio
import pytest
from attrs import evolve
from sqlalchemy import create_engine

from flows.support import drained
from flows.tokens_desk import OURS, PARTY, Town, failing, invalidated, made_store, said, town, world
from ocpi_emsp import PartyId, Token
from ocpi_emsp.errors import InvalidObject, NotRegistered, UnknownObject
from ocpi_emsp.flows.tokens import store as our_tokens
from ocpi_emsp.models import TokenType, WhitelistType
from ocpi_emsp.ports import Key, Kind, Record
from ocpi_emsp.storage import SqlStore
from our_emsp import NOW, token
from processes import Killed

LAST = datetime(9999, 12, 31, 23, 59, 59, tzinfo=UTC)


@pytest.fixture(params=["memory", "postgresql", "sqlite"])
def it(request: pytest.FixtureRequest) -> Iterator[Town]:
    with made_store(request) as store:
        yield town(store=store)


def seconds(count: float) -> timedelta:
    return timedelta(seconds=count)


# --- put ------------------------------------------------------------------------------------------------------------


def test_uid_and_type_are_a_token(it: Town) -> None:
    tokens = it.emsp.tokens
    one, other = token("A"), token("A", type=TokenType.OTHER)
    assert (tokens.put(one), tokens.put(other)) == (one, other)
    tokens.put(token("a", issuer="lower case"))
    assert (tokens.get("A"), tokens.get("A", TokenType.OTHER)) == (one, other)
    assert [(each.uid, each.type.value) for each in tokens.list()] == [("A", "RFID"), ("A", "OTHER"), ("a", "RFID")]


@pytest.mark.parametrize("offset", [0, -1, -1000])
def test_a_change_is_never_older_than_what_it_changes(offset: float, it: Town) -> None:
    stored = it.emsp.tokens.put(token("A", last_updated=NOW - seconds(100)))
    changed = replaced(stored, issuer="Other", last_updated=stored.last_updated + seconds(offset))
    assert it.emsp.tokens.put(changed) == replaced(changed, last_updated=NOW)
    assert it.emsp.tokens.get("A") == replaced(changed, last_updated=NOW)


def test_a_change_after_a_time_that_lies_ahead_is_a_second_later(it: Town) -> None:
    ahead = NOW + timedelta(days=9)
    it.emsp.tokens.put(token("A", last_updated=ahead))
    assert it.emsp.tokens.put(token("A", issuer="Other", last_updated=NOW)).last_updated == ahead + seconds(1)
    it.emsp.tokens.put(token("A", last_updated=LAST))
    assert it.emsp.tokens.put(token("A", issuer="Other", last_updated=NOW)).last_updated == LAST


def test_a_later_time_is_kept_as_it_is_given_and_a_fraction_is_none(it: Town) -> None:
    it.emsp.tokens.put(token("A", last_updated=NOW))
    east = (NOW + seconds(5.9)).astimezone(timezone(timedelta(hours=2)))
    assert it.emsp.tokens.put(token("A", issuer="Other", last_updated=east)).last_updated == NOW + seconds(5)
    half = NOW + seconds(5.5)  # on the wire the same second
    assert it.emsp.tokens.put(token("A", issuer="Third", last_updated=half)).last_updated == NOW + seconds(6)


def test_what_says_the_same_changes_nothing_but_a_later_time_is_kept(it: Town) -> None:
    it.join("NL-TNM")
    first = it.emsp.tokens.put(token("A", last_updated=NOW))
    revision = record_of(it, "A").revision
    it.emsp.tokens.push_pending()
    for moment in (NOW, NOW - seconds(9)):
        assert it.emsp.tokens.put(token("A", last_updated=moment)) == first
    assert record_of(it, "A").revision == revision
    later = it.emsp.tokens.put(token("A", last_updated=NOW + seconds(9)))
    assert (later.last_updated, it.emsp.tokens.get("A")) == (NOW + seconds(9), later)
    assert it.waiting() == [], "there is nothing that a party does not have"


@pytest.mark.parametrize("size", [1, 3, 500])
def test_many_are_put_in_batches(size: int, it: Town, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(our_tokens, "_BATCH", size)
    it.join("NL-TNM")
    tokens = [token(f"T{number}") for number in (3, 1, 2, 1)]
    assert it.emsp.tokens.put_many(iter(tokens)) == 3
    assert it.emsp.tokens.put_many(evolve(each, issuer="Other") for each in tokens) == 3
    assert it.emsp.tokens.put_many([]) == 0
    assert {each.uid for each in it.emsp.tokens.list()} == {"T1", "T2", "T3"}
    assert it.waiting() == ["NL-TNM"]


def test_a_bad_one_among_many_stops_its_batch(it: Town, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(our_tokens, "_BATCH", 2)
    with pytest.raises(InvalidObject) as caught:
        it.emsp.tokens.put_many([token("A"), token("B"), token("C"), token("D" * 37)])
    assert [each.pointer for each in caught.value.findings] == ["/uid"]
    assert [each.uid for each in it.emsp.tokens.list()] == ["A", "B"]


def test_a_token_that_breaks_the_specification_is_not_stored(it: Town) -> None:
    with pytest.raises(InvalidObject) as caught:
        it.emsp.tokens.put(token("x" * 37, auth_id="y" * 37))
    assert [each.pointer for each in caught.value.findings] == ["/auth_id", "/uid"]
    assert list(it.emsp.tokens.list()) == []


# --- patch and invalidate -------------------------------------------------------------------------------------------


def test_members_are_changed_and_the_time_is_now(it: Town) -> None:
    it.emsp.tokens.put(token("A", visual_number="DF-1", language="it"))
    patched = it.emsp.tokens.patch(
        "A", whitelist="ALWAYS", visual_number=None, language="de", issuer="Other", auth_id="IT-BEC-2", valid=False
    )
    assert patched == token(
        "A", whitelist=WhitelistType.ALWAYS, language="de", issuer="Other", auth_id="IT-BEC-2", valid=False,
        last_updated=NOW,
    )  # fmt: skip
    assert it.emsp.tokens.get("A") == patched


def test_invalidate_is_a_patch_of_valid_and_twice_is_once(it: Town) -> None:
    it.emsp.tokens.put(token("A"))
    it.emsp.tokens.put(token("A", type=TokenType.OTHER))
    first = it.emsp.tokens.invalidate("A", TokenType.OTHER)
    assert (first.valid, first.last_updated) == (False, NOW)
    it.clock.advance(hours=1)
    assert it.emsp.tokens.invalidate("A", TokenType.OTHER) == first
    assert it.emsp.tokens.get("A") == token("A")


def test_a_patch_may_say_the_time_and_one_that_is_not_later_is_ours(it: Town) -> None:
    stored = it.emsp.tokens.put(token("A", last_updated=NOW - seconds(50)))
    given = NOW - seconds(20)
    assert it.emsp.tokens.patch("A", issuer="B", last_updated=given).last_updated == given
    assert it.emsp.tokens.patch("A", issuer="C", last_updated="2024-06-01T11:59:50Z").last_updated == NOW - seconds(10)
    assert it.emsp.tokens.patch("A", issuer="D", last_updated=stored.last_updated).last_updated == NOW
    assert it.emsp.tokens.patch("A", issuer="E").last_updated == NOW + seconds(1), "the clock stands still"


@pytest.mark.parametrize(
    ("changes", "pointers"),
    [
        ({}, []),
        ({"type": TokenType.OTHER}, []),
        ({"vendor": 1}, []),
        ({"valid": None}, ["/valid"]),
        ({"valid": "true"}, ["/valid"]),
        ({"valid": object()}, ["/valid"]),
        ({"issuer": "x" * 65}, ["/issuer"]),
        ({"issuer": "\ud800"}, ["/issuer"]),
        ({"issuer": Decimal("NaN"), "visual_number": [Decimal("-Infinity")]}, ["/issuer", "/visual_number/0"]),
        ({"visual_number": float("nan")}, ["/visual_number"]),
        ({"issuer": float("nan")}, ["/issuer"]),
        ({"issuer": {"deep": [{}]}}, ["/issuer"]),
        ({"whitelist": "SOMETIMES"}, ["/whitelist"]),
        ({"whitelist": TokenType.RFID}, ["/whitelist"]),
        ({"language": "deu"}, ["/language"]),
        ({"last_updated": None}, ["/last_updated"]),
        ({"last_updated": "soon"}, ["/last_updated"]),
        ({"last_updated": NOW.replace(tzinfo=None)}, []),
        ({"valid": False, "issuer": 5, "auth_id": "y" * 37}, ["/auth_id", "/issuer"]),
    ],
    ids=lambda value: ",".join(value) or "nothing",
)
def test_what_a_patch_cannot_say_is_refused_and_changes_nothing(changes: dict[str, Any], pointers: list[str]) -> None:
    it = town("NL-TNM")
    it.emsp.tokens.put(token("A"))
    it.emsp.tokens.push_pending()
    with pytest.raises(InvalidObject) as caught:
        it.emsp.tokens.patch("A", **changes)
    assert sorted(each.pointer for each in caught.value.findings) == pointers
    assert it.emsp.tokens.get("A") == token("A")
    assert it.waiting() == []


def test_there_is_nothing_to_patch_where_there_is_no_token(it: Town) -> None:
    it.emsp.tokens.put(token("A"))
    with pytest.raises(UnknownObject, match="there is no token 'B' of type RFID"):
        it.emsp.tokens.invalidate("B")
    with pytest.raises(UnknownObject, match="there is no token 'A' of type OTHER"):
        it.emsp.tokens.patch("A", TokenType.OTHER, issuer="Other")


# --- list, in both modes ------------------------------------------------------------------------------------------


def test_pages_go_on_after_a_token_whatever_changed_meanwhile(it: Town) -> None:
    it.emsp.tokens.put_many(token(f"T{number}") for number in range(5))
    pages, after = list[list[str]](), 0
    while page := list(tokens := it.emsp.tokens.list(limit=2, after=after)):
        pages.append([each.uid for each in page])
        after = tokens.after
        it.emsp.tokens.patch(page[-1].uid, issuer="Other")
    assert pages == [["T0", "T1"], ["T2", "T3"], ["T4"]]


def test_an_async_host_has_the_same_tokens(it: Town) -> None:
    it.join("NL-TNM")

    async def use() -> None:
        tokens = it.worker().aio.tokens
        assert await tokens.put(token("A")) == token("A")
        assert await tokens.put_many([token("A"), token("B")]) == 1
        assert (await tokens.patch("A", issuer="Other")).issuer == "Other"
        assert (await tokens.invalidate("B")).valid is False
        first = tokens.list(limit=1)
        assert [each.uid async for each in first] == ["A"]
        assert [each.uid async for each in tokens.list(after=first.after)] == ["B"]
        assert [each.party_id async for each in tokens.waiting()] == ["TNM"]
        (report,) = await tokens.push_pending()
        again = await it.worker().aio.partner("NL-TNM").push_pending()
        assert (report.put, again, await drained(tokens.waiting())) == (2, None, [])
        assert await drained(tokens.failures("NL-TNM")) == []

    async def use_and_close() -> None:
        try:
            await use()
        finally:
            if isinstance(it.store, SqlStore):
                await it.store.aclose()

    anyio.run(use_and_close)


# --- what a party does not have -------------------------------------------------------------------------------------


def test_failures_name_the_tokens_of_a_party_and_how_often_they_failed() -> None:
    it = world()
    for uid in ("A", "B", "C"):
        it.put(uid)
    it.desk.script = failing(("PUT", "A"), ("PUT", "C"), by=said(200, 2001, "no"))
    it.push()
    began = it.clock.now()
    it.push()
    found = list(it.emsp.tokens.failures("nl-tnm"))
    assert [(each.uid, each.type, each.failures, each.at >= began) for each in found] == [
        ("A", "RFID", 2, True),
        ("C", "RFID", 2, True),
    ]
    assert "2001: no" in found[0].error
    (second,) = it.emsp.tokens.failures(PartyId(*PARTY), after=found[0].sequence)
    assert second == found[1]
    assert list(it.emsp.tokens.failures(PartyId(*PARTY), limit=1)) == found[:1]
    it.desk.obey()
    it.push()
    assert list(it.emsp.tokens.failures(PartyId(*PARTY))) == []


def test_a_token_whose_push_was_cut_off_is_among_the_failures() -> None:
    it = invalidated()
    it.desk.script = lambda _: Killed()
    with pytest.raises(Killed):
        it.push()
    (cut_off,) = it.emsp.tokens.failures(PartyId(*PARTY))
    assert (cut_off.uid, cut_off.failures, cut_off.error) == ("A", 0, "")


def test_whoever_is_not_registered_has_no_failures() -> None:
    with pytest.raises(NotRegistered):
        list(town().emsp.tokens.failures("DE-ABC"))


# --- helpers --------------------------------------------------------------------------------------------------------


def replaced(old: Token, **changes: Any) -> Token:
    return evolve(old, **changes)


def record_of(it: Town, uid: str) -> Record:
    found: Record = it.write(lambda tx: tx.get(Key(Kind.TOKEN, *OURS, uid, "RFID")))
    return found


@pytest.mark.parametrize("is_kept", [True, False])
def test_a_put_is_a_part_of_the_hosts_own_transaction(is_kept: bool, sqlite_with_schema: Path) -> None:
    """The token and who it has to be pushed to are there together, or neither is."""
    store = SqlStore(f"sqlite:///{sqlite_with_schema}")
    it, engine = town("NL-TNM", store=store), create_engine(f"sqlite:///{sqlite_with_schema}")
    with engine.connect() as connection:
        transaction = connection.begin()
        with store.joined(connection):
            it.put("A")
            assert it.emsp.tokens.push_pending() == [], "it may be rolled back yet"
        if is_kept:
            transaction.commit()
        else:
            transaction.rollback()
    assert ([each.uid for each in it.emsp.tokens.list()], it.waiting()) == (
        (["A"], ["NL-TNM"]) if is_kept else ([], [])
    )
    assert len(it.emsp.tokens.push_pending()) == is_kept
    engine.dispose()
    store.close()
