"""The first key of a database: processes that start on an empty one at the same moment make one key together."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import ExitStack, closing
from pathlib import Path

import pytest

from forked import forked
from ocpi_emsp.cli.stores import reading, writing
from ocpi_emsp.codec import encode
from ocpi_emsp.errors import StoreFailed
from ocpi_emsp.flows.parties.party import Party, PartyState, party_key
from ocpi_emsp.ports import Record
from ocpi_emsp.storage import SqlStore
from ocpi_emsp.storage.secrets import VARIABLE, KeyFileBox
from our_emsp import NOW

STARTING = Path(__file__).parent / "starting.py"
MISSING = "the key is missing that encrypted the tokens in the database: "
PARTIES = ["TNM", "ALF"]


@pytest.fixture(autouse=True)
def _no_key_is_given(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv(VARIABLE, raising=False)


def started(url: str, folders: Sequence[Path]) -> list[str]:
    """What processes print that open a database at the same moment, and then register a party at the same moment."""
    with ExitStack() as stack:
        processes = [
            stack.enter_context(forked(STARTING, url, party_id, folder=folder))
            for party_id, folder in zip(PARTIES, folders, strict=True)
        ]
        for before in ("ready", "opened"):
            assert [each.stdout.readline().strip() for each in processes] == [before, before]
            for each in processes:
                each.stdin.write("\n")
                each.stdin.flush()
        return [each.stdout.readline().strip() for each in processes]


def party(party_id: str) -> Record:
    made = Party(country_code="NL", party_id=party_id, state=PartyState.REGISTERED, token="a-token-of-theirs")
    return Record(party_key("NL", party_id), encode(made), NOW, NOW)


def register(store: SqlStore, party_id: str, *, fails: bool = False) -> None:
    with writing(store) as tx:
        tx.put(party(party_id))
        tx.usage("party")  # sends what was put
        if fails:
            raise LookupError


def opened_with(key: Path, url: str) -> int:
    """How many of the parties are there, all of which a key file opens."""
    with closing(SqlStore(url, secrets=KeyFileBox(key))) as store, reading(store) as tx:
        return sum(tx.get(party(each).key) is not None for each in PARTIES)


def test_two_machines_that_start_together_make_one_key(postgres_url: str, tmp_path: Path) -> None:
    """Without the lock each makes one, in its own directory: what one sealed, the other one answers with 500."""
    folders = [tmp_path / name for name in ("first", "second")]
    for each in folders:
        each.mkdir()
    printed = started(postgres_url, folders)
    (key,) = tmp_path.rglob("*.key")
    winner = folders.index(key.parent)
    assert printed[winner] == "stored"
    assert printed[1 - winner].startswith(MISSING)
    assert opened_with(key, postgres_url) == 1


@pytest.mark.parametrize("database", ["sqlite", "postgresql"])
def test_two_processes_of_one_directory_share_it(database: str, request: pytest.FixtureRequest, tmp_path: Path) -> None:
    is_sqlite = database == "sqlite"
    url = f"sqlite:///{tmp_path / 'emsp.db'}" if is_sqlite else request.getfixturevalue("postgres_url")
    assert started(url, [tmp_path, tmp_path]) == ["stored", "stored"]
    (key,) = tmp_path.glob("*.key")
    assert opened_with(key, url) == 2


@pytest.mark.parametrize("database", ["sqlite", "postgresql"])
def test_a_key_file_of_a_registration_that_failed_seals_nothing_beside_another_one(
    database: str, request: pytest.FixtureRequest, tmp_path: Path
) -> None:
    """Without comparing it: the process that made it goes on with it, and there are two keys."""
    is_sqlite = database == "sqlite"
    url = f"sqlite:///{tmp_path / 'emsp.db'}" if is_sqlite else request.getfixturevalue("postgres_url")
    boxes = [KeyFileBox(tmp_path / name) for name in ("first.key", "second.key")]
    first, second = (SqlStore(url, secrets=box, auto_upgrade=True) for box in boxes)
    with closing(first), closing(second):
        with pytest.raises(LookupError):
            register(first, "TNM", fails=True)
        assert (tmp_path / "first.key").exists()
        for _ in range(2):
            register(second, "ALF")
        with pytest.raises(StoreFailed, match=f"another key: provide the key .* in {VARIABLE} or the key file"):
            register(first, "TNM")
    assert opened_with(tmp_path / "second.key", url) == 1
