"""Keys rotate: all are read, the first one seals, `db rotate-key` seals anew beside a running server."""

import json
from contextlib import closing
from pathlib import Path

import pytest
from attrs import frozen
from sqlalchemy import select, update

from cli.conftest import Command
from ocpi_emsp.cli.stores import reading, writing
from ocpi_emsp.codec import encode
from ocpi_emsp.errors import StoreFailed
from ocpi_emsp.flows.parties.party import Party, PartyState, party_key
from ocpi_emsp.ports import Kind, Record
from ocpi_emsp.storage import FernetBox, SecretBox, SqlStore
from ocpi_emsp.storage.secrets import VARIABLE
from ocpi_emsp.storage.sql import rotation
from our_emsp import NOW

OLD, NEW = FernetBox.new_key(), FernetBox.new_key()
PARTIES = 7


@pytest.fixture(params=["sqlite", "postgresql"])
def url(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> str:
    monkeypatch.setattr(rotation, "BATCH", 3)
    if request.param == "postgresql":
        found: str = request.getfixturevalue("postgres_with_schema")
        return found
    return f"sqlite:///{request.getfixturevalue('sqlite_with_schema')}"


def party(number: int, token: str = "a-token-of-theirs") -> Record:
    made = Party(country_code="NL", party_id=f"P{number:02}", state=PartyState.REGISTERED, token=f"{token}-{number}")
    return Record(party_key("NL", made.party_id), encode(made), NOW, NOW)


def put(url: str, box: SecretBox | None, *records: Record) -> None:
    with closing(SqlStore(url, secrets=box)) as store, writing(store) as tx:
        for each in records:
            tx.put(each)


def read(url: str, box: SecretBox | None) -> list[bytes]:
    with closing(SqlStore(url, secrets=box)) as store, reading(store) as tx:
        return [record.document for number in range(PARTIES) if (record := tx.get(party(number).key)) is not None]


def rotated(url: str, box: SecretBox | None) -> tuple[int, int]:
    with closing(SqlStore(url, secrets=box)) as store:
        done = store.rotate_key()
        return done.sealed, done.current


def test_all_keys_open_and_the_first_one_seals(url: str) -> None:
    """With the first key alone: every partner that was registered before is answered 500."""
    put(url, FernetBox(OLD), party(0))
    put(url, FernetBox(NEW, OLD), party(1))
    assert len(read(url, FernetBox(NEW, OLD))) == 2
    with pytest.raises(StoreFailed, match="another key"):
        read(url, FernetBox(NEW))


def test_after_a_rotation_the_new_key_is_enough(url: str) -> None:
    """Without sealing anew: the old key can never be taken away."""
    everyone = [party(number) for number in range(PARTIES)]
    put(url, FernetBox(OLD), *everyone[1:])
    put(url, FernetBox(NEW, OLD), everyone[0])
    assert rotated(url, FernetBox(NEW, OLD)) == (PARTIES - 1, 1)
    assert rotated(url, FernetBox(NEW, OLD)) == (0, PARTIES)
    assert read(url, FernetBox(NEW)) == [each.document for each in everyone]
    if url.startswith("sqlite"):
        file = Path(url.removeprefix("sqlite:///"))
        assert {each.name for each in file.parent.iterdir() if b"a-token-of-theirs" in each.read_bytes()} == set()


def test_what_was_sealed_before_a_failure_stays_and_the_next_one_goes_on(url: str) -> None:
    put(url, FernetBox(OLD), *(party(number) for number in range(5)))
    put(url, FernetBox(FernetBox.new_key()), party(5))  # in the second batch, and no key opens it
    with pytest.raises(StoreFailed, match="another key"):
        rotated(url, FernetBox(NEW, OLD))
    put(url, FernetBox(OLD), party(5))
    assert rotated(url, FernetBox(NEW, OLD)) == (3, 3)


@frozen
class OfHost:
    """A SecretBox of a host, which does not say what is current."""

    box: FernetBox

    def seal(self, secret: bytes) -> str:
        return self.box.seal(secret)

    def open(self, sealed: str) -> bytes:
        return self.box.open(sealed)


def test_a_party_that_is_renewed_meanwhile_keeps_what_it_got(url: str) -> None:
    """Without comparing what is replaced: the renewed token is overwritten with the one that was read before."""
    put(url, FernetBox(OLD), party(0))
    store = SqlStore(url, secrets=FernetBox(NEW, OLD))
    table = store.tables.objects[Kind.PARTY]
    with store._connected() as connection:
        (row,) = connection.execute(select(table.c.sequence, table.c.sealed)).all()
        connection.rollback()
        renewed = FernetBox(NEW).seal(party(0, "renewed").document)
        connection.execute(update(table).values(sealed=renewed))
        assert rotation._reseal(connection, table, FernetBox(NEW, OLD), row) == 0
        connection.commit()
    store.close()
    assert read(url, FernetBox(NEW)) == [party(0, "renewed").document]


def test_a_box_of_ones_own_seals_every_text_anew(url: str) -> None:
    put(url, FernetBox(OLD), party(0), party(1))
    assert rotated(url, OfHost(FernetBox(NEW, OLD))) == (2, 0)
    assert rotated(url, OfHost(FernetBox(NEW, OLD))) == (2, 0)
    assert len(read(url, FernetBox(NEW))) == 2


@pytest.mark.parametrize("between", [",", ", \r\n"])
def test_several_keys_stand_in_the_environment_or_the_key_file(
    between: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    url, keys = f"sqlite:///{tmp_path / 'emsp.db'}", f"{NEW}{between}{OLD}{between}"
    put(url, FernetBox(OLD), party(0))
    monkeypatch.setenv(VARIABLE, keys)
    store = SqlStore(url)
    assert store.rotate_key().sealed == 1
    store.close()
    monkeypatch.delenv(VARIABLE)
    (tmp_path / "emsp.db.key").write_text(keys)
    again = SqlStore(url)
    assert again.rotate_key().current == 1
    again.close()


def test_no_second_key_is_made_for_a_database_that_has_one(
    url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It would be made where a process runs in another directory: what it sealed, no other process could open."""
    monkeypatch.delenv(VARIABLE, raising=False)
    (tmp_path / "first").mkdir()
    (tmp_path / "second").mkdir()
    monkeypatch.chdir(tmp_path / "first")
    put(url, None, party(0))
    made = Path("ocpi-emsp.key") if url.startswith("postgresql") else Path(f"{url.removeprefix('sqlite:///')}.key")
    key = made.read_text()
    made.unlink()
    monkeypatch.chdir(tmp_path / "second")
    missing = made if made.is_absolute() else Path.cwd() / made
    with pytest.raises(StoreFailed, match=f"set {VARIABLE} .* or copy its key file to {missing}$"):
        put(url, None, party(1))
    with pytest.raises(StoreFailed, match="the key is missing"):
        read(url, None)
    with pytest.raises(StoreFailed, match="the key is missing"):
        rotated(url, None)
    assert not missing.exists()
    monkeypatch.setenv(VARIABLE, key.strip())
    put(url, None, party(1))
    assert len(read(url, None)) == 2


@pytest.mark.parametrize("keys", [",", f"{NEW},short", f"{NEW}{OLD}"], ids=["none", "short", "joined"])
def test_keys_that_cannot_be_are_refused(keys: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(VARIABLE, keys)
    with pytest.raises(StoreFailed, match=f"invalid key in {VARIABLE}") as refused:
        put(f"sqlite:///{tmp_path / 'emsp.db'}", None, party(0))
    assert NEW not in str(refused.value)


def test_the_command_says_how_many(
    url: str,
    command: Command,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    put(url, FernetBox(OLD), party(0), party(1))
    monkeypatch.setenv(VARIABLE, f"{NEW},{OLD}")
    first = command("db", "rotate-key", "--store", url)
    assert (first.status, first.out) == (0, "parties sealed with the first key: 2, sealed with it before: 0\n")
    again = command("db", "rotate-key", "--store", url, "--json")
    assert json.loads(again.out) == {"sealed": 0, "current": 2}
    monkeypatch.setenv(VARIABLE, FernetBox.new_key())
    failed = command("db", "rotate-key", "--store", url)
    assert (failed.status, failed.out) == (3, "")
    assert "another key" in failed.err
