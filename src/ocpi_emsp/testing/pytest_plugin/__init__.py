"""The pytest plugin: a simulated CPO, a clock, payloads as parameters, and a partner's payload files as tests.

    pytest --ocpi-files captures/ --ocpi-policy strict      # every payload below captures/ is a test

    @pytest.mark.ocpi_cpo(locations=5)                      # settings of the simulated CPO, or a preset
    def test_my_backend(ocpi_simulated_cpo, ocpi_clock):
        ocpi_clock.drive(emsp)
        ocpi_simulated_cpo.register_with(emsp, app=app)     # in process, without a socket

    @pytest.mark.ocpi_payloads(Location, sort="quirky")     # without it: everything that a CPO pushes
    def test_my_importer(ocpi_payload): ...

Rules of this module:
- pytest loads it in every run of an environment in which this library is installed, so it imports nothing until an
  option or the fixture is used;
- payloads are extracted from files, and their kinds guessed, as by ``ocpi-emsp check``.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from ocpi_emsp.testing.clock import ManualClock
    from ocpi_emsp.testing.local_cpo import LocalCpo
    from ocpi_emsp.testing.payloads import Payload
    from ocpi_emsp.testing.pytest_plugin.files import PayloadFile

_FILES = pytest.StashKey[frozenset[Path]]()
_SUFFIXES = (".json", ".jsonl", ".ndjson")
_FIXTURE, _MARK, _CPO_MARK = "ocpi_payload", "ocpi_payloads", "ocpi_cpo"


def pytest_addoption(parser: pytest.Parser) -> None:
    """Add ``--ocpi-files`` and ``--ocpi-policy``."""
    group = parser.getgroup("ocpi", "OCPI payloads")
    group.addoption(
        "--ocpi-files",
        action="append",
        default=[],
        metavar="PATH",
        help="payload file or folder (JSON, JSON lines); each payload becomes a test; repeatable",
    )
    group.addoption(
        "--ocpi-policy",
        choices=("tolerant", "strict"),
        default="tolerant",
        help="which findings fail a payload: tolerant (default): errors; strict: warnings too",
    )


def pytest_configure(config: pytest.Config) -> None:
    """Collect the files in addition to the requested tests."""
    config.addinivalue_line(
        "markers",
        f"{_MARK}(*kinds, sort=None, policy=None): which examples the fixture {_FIXTURE} provides; "
        "sort is valid, quirky or invalid, or several of them",
    )
    config.addinivalue_line(
        "markers",
        f"{_CPO_MARK}(preset=None, **settings): the simulated CPO of the fixture ocpi_simulated_cpo: "
        "a preset, settings of SimulatedCpo",
    )
    files = sorted(file for path in config.getoption("--ocpi-files") for file in _files(Path(path)))
    config.stash[_FILES] = frozenset(file.resolve() for file in files)
    config.args.extend(str(file) for file in files)


def _files(path: Path) -> list[Path]:
    if path.is_dir():
        found = [file for file in path.rglob("*") if file.suffix.lower() in _SUFFIXES and file.is_file()]
        if found:
            return found
        raise pytest.UsageError(f"--ocpi-files {path}: no file ends in {', '.join(_SUFFIXES)}")
    if path.is_file():
        return [path]
    raise pytest.UsageError(f"--ocpi-files {path}: no such file or folder")


def pytest_collect_file(file_path: Path, parent: pytest.Collector) -> PayloadFile | None:
    """Collect the files of ``--ocpi-files``, and no others."""
    wanted = parent.config.stash.get(_FILES, frozenset())
    if not wanted or file_path.resolve() not in wanted:
        return None
    from ocpi_emsp.testing.pytest_plugin.files import PayloadFile

    return PayloadFile.from_parent(parent, path=file_path)


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """Create one test for every example of the kinds and sorts in the mark."""
    if _FIXTURE not in metafunc.fixturenames or metafunc.definition.get_closest_marker("parametrize") is not None:
        return
    mark = metafunc.definition.get_closest_marker(_MARK)
    kinds, options = (mark.args, mark.kwargs) if mark else ((), {})
    found = list(_examples(kinds, **options))
    metafunc.parametrize(_FIXTURE, found, ids=[str(payload) for payload in found], indirect=True)


def _examples(kinds: tuple[type[Any], ...], sort: Any = None, policy: Any = None) -> list[Payload]:
    try:
        from ocpi_emsp.testing.payloads import PUSHED, SORTS, examples
    except ImportError as error:
        raise pytest.UsageError(f"{_FIXTURE} needs the extra ocpi-emsp[testing]: {error}") from None
    sorts: Any = (sort,) if isinstance(sort, str) else sort or SORTS
    return [each for kind in kinds or PUSHED for one in sorts for each in examples(kind, one, policy=policy)]


@pytest.hookimpl(tryfirst=True)
def pytest_runtest_makereport(item: pytest.Item, call: pytest.CallInfo[None]) -> None:
    """Show the payload of a failing test, with its deviations marked."""
    payload = getattr(item, "funcargs", {}).get(_FIXTURE)
    if call.excinfo is not None and payload is not None:
        item.add_report_section(call.when, "OCPI payload", f"{payload}\n{payload.marked}")


@pytest.fixture
def ocpi_payload(request: pytest.FixtureRequest) -> Payload:
    """A :class:`ocpi_emsp.testing.payloads.Payload`: each example of the mark ``ocpi_payloads`` in turn."""
    payload: Payload = request.param
    return payload


@pytest.fixture
def ocpi_simulated_cpo(request: pytest.FixtureRequest) -> Iterator[LocalCpo]:
    """A simulated CPO in process (:class:`ocpi_emsp.testing.local_cpo.LocalCpo`); ``register_with(emsp)`` registers it.

    The mark ``ocpi_cpo`` names its preset and settings.
    """
    from ocpi_emsp.testing.local_cpo import local_cpo

    mark = request.node.get_closest_marker(_CPO_MARK)
    args, settings = (mark.args, mark.kwargs) if mark else ((), {})
    with local_cpo(*args, **settings) as cpo:
        yield cpo


@pytest.fixture
def ocpi_clock() -> Iterator[ManualClock]:
    """A clock that stands still until it is set (:class:`ocpi_emsp.testing.clock.ManualClock`)."""
    from ocpi_emsp.testing.clock import ManualClock

    clock = ManualClock()
    yield clock
    clock.release()
