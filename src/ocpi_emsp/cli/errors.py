"""How a command fails: a message for stderr, and the exit status."""

from __future__ import annotations

import errno
from typing import ClassVar, Final

_OF_THE_PORT: Final = frozenset({errno.EADDRINUSE, errno.EACCES})


class CommandFailed(Exception):
    """A command that cannot continue."""

    status: ClassVar[int] = 1


class Usage(CommandFailed):
    """The request cannot be executed as given: an argument, a setting, a file, a missing package."""

    status = 2


class Outside(CommandFailed):
    """Something outside this process failed: a port, a partner, the reader of our output."""

    status = 3


class ReaderGone(Outside):
    """The reader of stdout has closed it. A list ends there: the reader has enough."""


def reason(error: OSError | ValueError) -> str:
    """Return the operating system's message, without the error's number and Python's additions."""
    if isinstance(error, ValueError):  # a NUL in a name
        return str(error)
    return (error.strerror or type(error).__name__).partition(" (while attempting")[0]


def cannot_listen(host: str, port: int, error: OSError) -> Outside:
    """Return the error of a server that cannot listen: the port is in use or needs more rights; otherwise it is the
    host.
    """
    option = "--port" if error.errno in _OF_THE_PORT else "--host"
    return Outside(f"cannot listen on {host} port {port}: {reason(error)}: set another {option}")
