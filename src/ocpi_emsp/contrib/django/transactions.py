"""Django's own transactions: calls in a block are part of ``transaction.atomic()``.

::

    with transaction.atomic(), joined(emsp):
        driver.save()
        emsp.tokens.put(token)

Rules of this module: the database is that of ``emsp``; Django commits or rolls back.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from django.db import connections

from ocpi_emsp import Emsp


@contextmanager
def joined(emsp: Emsp, *, using: str = "default") -> Iterator[None]:
    """Join Django's current transaction on the database ``using``; its events are delivered after the commit.

    The eMSP of :func:`get_emsp` joins by itself; this is for one that you created. Raises RuntimeError outside
    ``transaction.atomic()``, TypeError for a driver that the store does not use.
    """
    connection = connections[using]
    if not connection.in_atomic_block:
        raise RuntimeError(f"no transaction on the database '{using}': call joined inside transaction.atomic()")
    with emsp.joined(connection.connection):
        yield
