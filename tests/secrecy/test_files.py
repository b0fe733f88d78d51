"""Files with secrets, or with what drivers did, are readable by their owner alone."""

import os
import stat
from collections.abc import Iterator
from pathlib import Path

import pytest

from cli.conftest import Command
from flows.support import offline_emsp
from ocpi_emsp.storage import SqlStore
from our_emsp import register

pytestmark = pytest.mark.skipif(os.name != "posix", reason="rights of files as POSIX has them")


@pytest.fixture(autouse=True)
def wide_umask() -> Iterator[None]:
    """A umask with which everybody may read what is made."""
    before = os.umask(0)
    yield
    os.umask(before)


def rights(folder: Path) -> dict[str, str]:
    return {each.name: f"{stat.S_IMODE(each.stat().st_mode):o}" for each in folder.iterdir()}


@pytest.mark.parametrize("driver", ["sqlite", "sqlite+aiosqlite"])
@pytest.mark.parametrize("path", ["emsp.db", "file:{}/emsp.db?uri=true"])
def test_sqlite_makes_its_files_for_their_owner(driver: str, path: str, tmp_path: Path) -> None:
    """Without making the file first: 666 for all three, with this umask."""
    file = path.format(tmp_path) if ":" in path else str(tmp_path / path)
    store = SqlStore(f"{driver}:///{file}")
    emsp = offline_emsp(store=store)
    register(emsp)
    with store.for_mode("sync").blocking_transaction() as tx:  # type: ignore[union-attr] # it is one of a URL
        assert tx.entry("none") is None
        found = rights(tmp_path)
    store.close()
    assert set(found) >= {"emsp.db", "emsp.db-wal", "emsp.db-shm"}
    assert set(found.values()) == {"600"}


def test_a_link_to_a_file_that_is_not_there_is_followed(tmp_path: Path) -> None:
    (tmp_path / "link.db").symlink_to(tmp_path / "real.db")
    store = SqlStore(f"sqlite:///{tmp_path / 'link.db'}")
    store.upgrade()
    store.close()
    assert rights(tmp_path)["real.db"] == "600"


def test_a_database_that_is_only_read_is_not_made(tmp_path: Path) -> None:
    store = SqlStore(f"sqlite:///file:{tmp_path}/none.db?mode=ro&uri=true")
    with pytest.raises(Exception, match="unable to open"):
        store.schema_revision()
    assert rights(tmp_path) == {}


def test_what_output_writes_is_for_its_owner(tmp_path: Path, command: Command) -> None:
    """Without it: 666, also for a file that was there before."""
    payload = tmp_path / "token.json"
    payload.write_text('{"uid": "012345678"}')
    (tmp_path / "there.md").touch(mode=0o644)
    for name in ("there.md", "new.md"):
        command("check", str(payload), "--as", "token", "--output", str(tmp_path / name), "--format", "markdown")
        assert rights(tmp_path)[name] == "600"


def test_wider_rights_are_warned_of(tmp_path: Path, command: Command) -> None:
    store = SqlStore(f"sqlite:///{tmp_path / 'emsp.db'}")
    store.upgrade()
    store.close()
    at = ("--store", f"sqlite:///{tmp_path / 'emsp.db'}")
    assert "can be read by" not in command("party", "diagnose", "NL-TNM", *at).err
    (tmp_path / "emsp.db").chmod(0o640)
    (tmp_path / "emsp.db.key").touch(mode=0o644)
    said = command("party", "diagnose", "NL-TNM", *at).err
    assert f"{tmp_path}/emsp.db can be read by other users of this machine (mode 0640): chmod 600" in said
    assert f"{tmp_path}/emsp.db.key can be read by other users of this machine (mode 0644)" in said
