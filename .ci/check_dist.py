"""Look at what a release is made of: ``python .ci/check_dist.py dist TREE``, where TREE is the files of its commit.

It prints what is wrong with the wheel and the source distribution, and ends with 1.

Rules of this module:
- it reads the built files alone, and imports nothing of ours: what is wrong in them must not be hidden by the checkout;
- each check yields what is wrong, as a sentence.
"""

from __future__ import annotations

import re
import sys
import tarfile
import tomllib
from collections.abc import Iterator, Mapping
from email import message_from_bytes
from pathlib import Path
from typing import Final
from zipfile import ZipFile

_LOCAL_PATH: Final = re.compile(rb"/(?:root|home/\w+|Users/\w+|work)/[\w.-]+|file:///(?!ocpi)\w+/\w+")
_LEFTOVERS: Final = re.compile(r"(?:^|/)(?:__pycache__|\.venv[^/]*|\.[a-z]+_cache|\.hypothesis|build|dist)/|\.pyc$")
_MOST_BYTES: Final = 2 * 1024 * 1024
"""Of a wheel: more is something that does not belong into it."""


def check(folder: Path, tree: Path) -> Iterator[str]:
    """What is wrong with the wheel and the source distribution in this folder, which are built from this tree."""
    (wheel,), (source,) = folder.glob("*.whl"), folder.glob("*.tar.gz")
    with ZipFile(wheel) as opened:
        files = {name: opened.read(name) for name in opened.namelist() if not name.endswith("/")}
    yield from check_wheel(files, tree)
    if wheel.stat().st_size > _MOST_BYTES:
        yield f"{wheel.name} has {wheel.stat().st_size} bytes: expected at most {_MOST_BYTES}"
    with tarfile.open(source) as packed:
        names = {each.name.partition("/")[2] for each in packed.getmembers() if each.isfile()}
    yield from check_source(names, tree)


def check_wheel(files: Mapping[str, bytes], tree: Path) -> Iterator[str]:
    """What is wrong with a wheel of these files."""
    info = next(name.partition("/")[0] for name in files if name.endswith(".dist-info/METADATA"))
    for name in sorted(files):
        if not name.startswith(("ocpi_emsp/", f"{info}/")):
            yield f"the wheel has {name}: expected ocpi_emsp/ and {info}/ alone"
        if _LEFTOVERS.search(name):
            yield f"the wheel has {name}, which a build or a run left behind"
        if found := _LOCAL_PATH.search(files[name]):
            yield f"{name} of the wheel names a path of this machine: {found[0].decode()}"
    ours = _names(tree / "src")
    yield from (f"the wheel lacks {name}" for name in sorted(ours - files.keys()))
    if f"{info}/licenses/LICENSE" not in files:
        yield "the wheel lacks its license"
    yield from _check_metadata(files[f"{info}/METADATA"], tree)


def _check_metadata(written: bytes, tree: Path) -> Iterator[str]:
    project = tomllib.loads((tree / "pyproject.toml").read_text("utf-8"))["project"]
    metadata = message_from_bytes(written)
    expected = {
        "Name": project["name"],
        "Version": project["version"],
        "License-Expression": project["license"],
        "Requires-Python": project["requires-python"],
        "Description-Content-Type": "text/markdown",
    }
    for field, value in expected.items():
        if metadata[field] != value:
            yield f"{field} is '{metadata[field]}': expected '{value}'"
    urls = {str(each).partition(", ")[0] for each in metadata.get_all("Project-URL", [])}
    yield from (f"the metadata lacks the URL {name}" for name in sorted(project["urls"].keys() - urls))
    description = str(metadata.get_payload())
    for link in re.findall(r"\]\(([^)\s]+)\)", description):
        if not link.startswith("https://"):
            yield f"the description links {link}, which leads nowhere on an index page"


def check_source(names: set[str], tree: Path) -> Iterator[str]:
    """What is wrong with a source distribution of these files."""
    expected = _names(tree)
    yield from (f"the source distribution lacks {name}" for name in sorted(expected - names))
    yield from (f"the source distribution has {name}" for name in sorted(names - expected - {"PKG-INFO"}))


def _names(tree: Path) -> set[str]:
    """The files below a folder, without what a build put there."""
    found = {path.relative_to(tree).as_posix() for path in tree.rglob("*") if path.is_file()}
    return {name for name in found if not _LEFTOVERS.search(name)}


if __name__ == "__main__":
    wrong = list(check(Path(sys.argv[1]), Path(sys.argv[2])))
    print(*wrong, sep="\n", end="\n" if wrong else "")
    sys.exit(bool(wrong))
