"""The signals that end a serving command: SIGTERM and Ctrl-C."""

from __future__ import annotations

import asyncio
import contextlib
import signal
from collections.abc import Callable, Generator


@contextlib.contextmanager
def on_signals(act: Callable[[signal.Signals], object], *signals: signal.Signals) -> Generator[None, None, None]:
    """Call ``act`` in the event loop when one of these signals arrives; only in the main thread, as Python requires."""
    loop = asyncio.get_running_loop()
    handled: list[signal.Signals] = []
    with contextlib.suppress(ValueError, RuntimeError, NotImplementedError):
        for each in signals:
            loop.add_signal_handler(each, act, each)
            handled.append(each)
    try:
        yield
    finally:
        for each in handled:
            loop.remove_signal_handler(each)
