"""The log for operators: one line per event on the logger ``ocpi_emsp``, in the same form everywhere.

Rules of this module:
- a line begins with the name of its event, one of docs/how-to/observability.md, and continues with ``key=value``;
- a value cannot break a line: a value with a space, a quote, ``=``, a backslash or anything but printable ASCII is
  quoted and escaped as in JSON; a long one is cut; None is left out;
- callers pass no secrets: no Authorization header, no credentials, no URL of a database; nor data that identifies a
  driver (the uid of a token, an auth_id), which this module removes from URLs.
"""

from __future__ import annotations

import json
import logging
import re
from typing import Final

log: Final = logging.getLogger("ocpi_emsp")

LONGEST: Final = 300
"""Most characters of one value: a URL or a sentence; a page of HTML does not belong into a log."""

_PLAIN: Final = re.compile(r"[!#-<>-\[\]-~]+").fullmatch
"""Printable ASCII without a space, a quote, ``=`` and the backslash."""
_OF_DRIVERS: Final = re.compile(r"(/tokens/)[^\s?#]+", re.IGNORECASE)


def debug(event: str, **values: object) -> None:
    """Log details for debugging: each page of a sync, each successful call."""
    _write(logging.DEBUG, event, values)


def info(event: str, **values: object) -> None:
    """Log a normal event: one line per request, command or sync."""
    _write(logging.INFO, event, values)


def warning(event: str, *, trace: BaseException | None = None, **values: object) -> None:
    """Log a failure that is retried, or that is a partner's fault."""
    _write(logging.WARNING, event, values, trace)


def error(event: str, *, trace: BaseException | None = None, **values: object) -> None:
    """Log a failure that needs an operator."""
    _write(logging.ERROR, event, values, trace)


def shows_info() -> bool:
    """Return True if :func:`info` writes anything; to be checked before expensive values are computed."""
    return log.isEnabledFor(logging.INFO)


def line(event: str, /, **values: object) -> str:
    """Return ``event key=value ...``: one line, whatever the values contain."""
    return " ".join([event, *(f"{name}={text(value)}" for name, value in values.items() if value is not None)])


def text(value: object) -> str:
    """Return one value as written in a line; of the URL of a driver's token, the part below ``/tokens/`` is removed."""
    written = _OF_DRIVERS.sub(r"\1*", str(value))
    if len(written) > LONGEST:
        written = written[: LONGEST - 3] + "..."
    return written if _PLAIN(written) else json.dumps(written)


def _write(level: int, event: str, values: dict[str, object], trace: BaseException | None = None) -> None:
    if log.isEnabledFor(level):
        log.log(level, "%s", line(event, **values), exc_info=trace, stacklevel=3)
