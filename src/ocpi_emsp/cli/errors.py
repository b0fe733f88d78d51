"""How a command fails: a sentence for stderr, and the exit status."""

from __future__ import annotations

import errno
from typing import ClassVar, Final

_OF_THE_PORT: Final = frozenset({errno.EADDRINUSE, errno.EACCES})


class CommandFailed(Exception):
    """A command that cannot go on."""

    status: ClassVar[int] = 1


class Usage(CommandFailed):
    """What was asked for cannot be done as it was asked: an argument, a setting, a file, a package that is missing."""

    status = 2


class Outside(CommandFailed):
    """Something outside of this process failed: a port, a partner, the reader of our output."""

    status = 3


class ReaderGone(Outside):
    """The reader of stdout has gone. A list ends there: its reader has seen enough."""


def reason(error: OSError | ValueError) -> str:
    """What the operating system says, without the error's number and without what Python adds to it."""
    if isinstance(error, ValueError):  # a NUL in a name
        return str(error)
    return (error.strerror or type(error).__name__).partition(" (while attempting")[0]


def cannot_listen(host: str, port: int, error: OSError) -> Outside:
    """What a server says that cannot listen: a port is in use or needs more rights, all else is about the host."""
    option = "--port" if error.errno in _OF_THE_PORT else "--host"
    return Outside(f"cannot listen on {host} port {port}: {reason(error)}: set another {option}")
