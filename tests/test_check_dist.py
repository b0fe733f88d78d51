"""What `make release-check` finds wrong with a release: each mistake is put into one that has none."""

from __future__ import annotations

import importlib.util
import tomllib
from pathlib import Path
from types import ModuleType

import pytest

ROOT = Path(__file__).parent.parent
INFO = "ocpi_emsp-0.1.0.dist-info"


def loaded() -> ModuleType:
    spec = importlib.util.spec_from_file_location("check_dist", ROOT / ".ci" / "check_dist.py")
    assert spec
    assert spec.loader
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


check_dist = loaded()


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    (tmp_path / "src" / "ocpi_emsp" / "__pycache__").mkdir(parents=True)
    (tmp_path / "src" / "ocpi_emsp" / "__init__.py").touch()
    (tmp_path / "src" / "ocpi_emsp" / "__pycache__" / "__init__.cpython-311.pyc").touch()
    (tmp_path / "pyproject.toml").write_bytes((ROOT / "pyproject.toml").read_bytes())
    return tmp_path


def metadata(description: str = "[read](https://example.com/)", **changes: str) -> bytes:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["project"]
    fields = {
        "Name": project["name"],
        "Version": project["version"],
        "License-Expression": project["license"],
        "Requires-Python": project["requires-python"],
        "Description-Content-Type": "text/markdown",
    }
    lines = [f"{name}: {value}" for name, value in (fields | changes).items()]
    lines += [f"Project-URL: {name}, {url}" for name, url in project["urls"].items()]
    return "\n".join((*lines, "", description)).encode()


def wheel(**changes: bytes | None) -> dict[str, bytes]:
    files = {"ocpi_emsp/__init__.py": b"", f"{INFO}/METADATA": metadata(), f"{INFO}/licenses/LICENSE": b""}
    changed = {**files, **changes}
    return {name: text for name, text in changed.items() if text is not None}


def test_nothing_is_wrong_with_a_good_wheel(tree: Path) -> None:
    assert list(check_dist.check_wheel(wheel(), tree)) == []


@pytest.mark.parametrize(
    ("name", "text", "says"),
    [
        ("tests/test_a.py", b"", f"the wheel has tests/test_a.py: expected ocpi_emsp/ and {INFO}/ alone"),
        ("ocpi_emsp/__pycache__/a.pyc", b"", "ocpi_emsp/__pycache__/a.pyc, which a build or a run left behind"),
        ("ocpi_emsp/a.py", b"# /home/anna/ocpi/a.py", "ocpi_emsp/a.py of the wheel names a path of this machine"),
        ("ocpi_emsp/__init__.py", None, "the wheel lacks ocpi_emsp/__init__.py"),
        (f"{INFO}/licenses/LICENSE", None, "the wheel lacks its license"),
        (f"{INFO}/METADATA", metadata(Version="0.0.9"), "Version is '0.0.9': expected '0.1.0'"),
        (f"{INFO}/METADATA", metadata("[read](docs/a.md)"), "the description links docs/a.md"),
        (f"{INFO}/METADATA", metadata().replace(b"Project-URL: Issues", b"X: Issues"), "lacks the URL Issues"),
    ],
)
def test_a_mistake_in_a_wheel_is_named(tree: Path, name: str, text: bytes | None, says: str) -> None:
    (found,) = check_dist.check_wheel(wheel(**{name: text}), tree)
    assert says in found


def test_a_source_distribution_has_the_files_of_its_commit(tree: Path) -> None:
    names = {"src/ocpi_emsp/__init__.py", "pyproject.toml", "PKG-INFO"}
    assert list(check_dist.check_source(names, tree)) == []
    assert list(check_dist.check_source({*names, "a.log"} - {"pyproject.toml"}, tree)) == [
        "the source distribution lacks pyproject.toml",
        "the source distribution has a.log",
    ]
