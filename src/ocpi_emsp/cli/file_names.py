"""The names of files in a letter: its reader does not know the directories of this machine.

Rules of this module:
- a file within a given folder is named by its place in there, any other by its own name;
- names that would be equal, or lead into each other, get as many leading directories as distinguish them;
- output for the user on this machine, who opens the file, has its path.
"""

from __future__ import annotations

import os
from collections import defaultdict
from collections.abc import Callable, Collection, Mapping, Sequence
from pathlib import Path
from typing import TypeAlias

from ocpi_emsp.cli.files import STDIN
from ocpi_emsp.cli.inputs import is_folder

Name: TypeAlias = Callable[[str], str]
_Parts: TypeAlias = tuple[str, ...]


def as_given(path: str) -> str:
    """Return the path as given or found."""
    return path


def in_letters(paths: Sequence[str]) -> Name:
    """Return a function that names the files in these paths of the command line."""
    absolute = {path: Path(os.path.abspath(path)).parts[1:] for path in paths if path != STDIN}  # noqa: PTH100 # no link
    folders = {parts for path, parts in absolute.items() if is_folder(path)}
    names = _names(set(absolute.values()), folders)

    def name(path: str) -> str:
        if path == STDIN:
            return path
        if path in absolute:
            return "/".join(names[absolute[path]])
        parts = Path(os.path.abspath(path)).parts[1:]  # noqa: PTH100 # no link
        for length in range(len(parts) - 1, -1, -1):
            if parts[:length] in folders:
                return "/".join((*names[parts[:length]], *parts[length:]))
        return path

    return name


def _names(given: Collection[_Parts], folders: Collection[_Parts]) -> Mapping[_Parts, _Parts]:
    """Return the last parts of each path: as few as possible."""
    lengths = {parts: 0 if parts in folders else 1 for parts in given}
    while True:
        names = {parts: parts[len(parts) - length :] for parts, length in lengths.items()}
        longer = {parts for parts in _ambiguous(names) if lengths[parts] < len(parts)}
        if not longer:
            return names
        lengths |= {parts: lengths[parts] + 1 for parts in longer}


def _ambiguous(names: Mapping[_Parts, _Parts]) -> Collection[_Parts]:
    """Return the paths whose name equals another's, or is the beginning of another's."""
    called = defaultdict[_Parts, set[_Parts]](set)
    for parts, name in names.items():
        called[name].add(parts)
    found = {each for same in called.values() if len(same) > 1 for each in same}
    for name in names.values():
        for length in range(len(name)):
            found |= called.get(name[:length], set())
    return found
