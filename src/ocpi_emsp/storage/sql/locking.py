"""Statements of PostgreSQL that lock what is not there yet, and that notify."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from sqlalchemy import ARRAY, BigInteger, Executable, Table, Text, bindparam, func, literal_column, select

LOCK = select(func.pg_advisory_xact_lock(bindparam("number")).label("locked"))
"""Locks a number until the end of the transaction (PostgreSQL)."""
_numbers = func.unnest(bindparam("numbers", type_=ARRAY(BigInteger))).column_valued("number")
LOCK_ALL = select(func.pg_advisory_xact_lock(_numbers).label("locked"))
"""Locks numbers, in their order, until the end of the transaction (PostgreSQL)."""
NOTIFY = select(func.pg_notify(bindparam("channel"), bindparam("payload")).label("notified"))
"""Sends a message on a channel, at the commit (PostgreSQL)."""


def lock_absent(table: Table, below: Sequence[Any]) -> Executable:
    """Locks the ``numbers`` of those among the ids ``values`` that are not there, in their order; gives these ids.

    ``below``: what the table's other columns have to be.
    """
    wanted = func.unnest(bindparam("values", type_=ARRAY(Text)), bindparam("numbers", type_=ARRAY(BigInteger)))
    named = wanted.table_valued("id", "number").render_derived(name="wanted")
    # An offset, so that PostgreSQL looks for one after the other, and never through all that the owner has.
    there = select(table.c.id).where(*below, table.c.id == named.c.id).offset(literal_column("0")).exists()
    # Ordered below, so that nothing is locked before it is its turn.
    absent = select(named.c.id, named.c.number).where(~there).order_by(named.c.number).subquery("absent")
    return select(absent.c.id, func.pg_advisory_xact_lock(absent.c.number).label("locked"))
