"""Statements of PostgreSQL that lock absent rows, and that notify."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from sqlalchemy import ARRAY, BigInteger, Executable, Table, Text, bindparam, func, literal_column, select

LOCK = select(func.pg_advisory_xact_lock(bindparam("number")).label("locked"))
"""Locks a number until the end of the transaction."""
_numbers = func.unnest(bindparam("numbers", type_=ARRAY(BigInteger))).column_valued("number")
LOCK_ALL = select(func.pg_advisory_xact_lock(_numbers).label("locked"))
"""Locks numbers, in order, until the end of the transaction."""
NOTIFY = select(func.pg_notify(bindparam("channel"), bindparam("payload")).label("notified"))
"""Sends a message on a channel, at the commit."""


def lock_absent(table: Table, below: Sequence[Any]) -> Executable:
    """Build the statement that locks the ``numbers`` of absent ids among ``values``, in order, and returns these ids.

    ``below`` has the conditions on the other columns of the table.
    """
    wanted = func.unnest(bindparam("values", type_=ARRAY(Text)), bindparam("numbers", type_=ARRAY(BigInteger)))
    named = wanted.table_valued("id", "number").render_derived(name="wanted")
    # With an offset PostgreSQL looks up one id after the other, and never reads all rows of the owner.
    there = select(table.c.id).where(*below, table.c.id == named.c.id).offset(literal_column("0")).exists()
    # Ordered in a subquery, so that numbers are locked in this order.
    absent = select(named.c.id, named.c.number).where(~there).order_by(named.c.number).subquery("absent")
    return select(absent.c.id, func.pg_advisory_xact_lock(absent.c.number).label("locked"))
