"""A SQLite file that several connections open for the first time at one moment, as processes that start together do."""

from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from threading import Barrier

from sqlalchemy import make_url

from ocpi_emsp.storage.sql.engine import blocking_engine

AT_ONCE = 4
ROUNDS = 60


def test_all_of_them_get_a_write_ahead_log(tmp_path: Path) -> None:
    """Without waiting for each other, some are told that the file is locked: in a third of the rounds."""

    def opened(file: Path, barrier: Barrier) -> str:
        engine = blocking_engine(make_url(f"sqlite:///{file}"), timeout=5)
        try:
            barrier.wait()
            with engine.connect() as connection:
                return str(connection.exec_driver_sql("PRAGMA journal_mode").scalar_one())
        finally:
            engine.dispose()

    with ThreadPoolExecutor(AT_ONCE) as pool:
        for number in range(ROUNDS):
            barrier = Barrier(AT_ONCE)
            modes = [pool.submit(opened, tmp_path / f"{number}.db", barrier) for _ in range(AT_ONCE)]
            assert [each.result() for each in modes] == ["wal"] * AT_ONCE
