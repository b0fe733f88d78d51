"""When an entry is due, and the place of a token among those of its owner. Frozen."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

import sqlalchemy as sa
from alembic.operations import Operations

from ocpi_emsp.storage.migrations.parts import create_index, create_objects
from ocpi_emsp.storage.sql.types import UtcDateTime

if TYPE_CHECKING:
    from ocpi_emsp.storage.migrations import Names

revision = "0002"
down_revision = "0001"

IDENTITY = ("country_code", "party_id", "type", "id")
COPIED = (
    *("sequence", *IDENTITY, "received", "last_updated", "received_at", "content_hash", "revision"),
    *("uid", "auth_id", "valid", "whitelist"),
)
INDEXES: Mapping[str, tuple[str, ...]] = {
    "owner_sequence": ("country_code", "party_id", "sequence"),
    "owner_updated": ("country_code", "party_id", "last_updated", "id"),
    "auth_id": ("auth_id",),
}
PLACE: Mapping[str, tuple[str, ...]] = {"country_code_party_id_place": ("country_code", "party_id", "place")}


def upgrade(*, op: Operations, names: Names) -> None:
    """SQLite adds no column that has to have a value: the table is made anew there."""
    for name in ("journal", "rejections"):
        op.add_column(names.prefix + name, sa.Column("due", UtcDateTime), schema=names.schema)
    if op.get_bind().dialect.name == "sqlite":
        replace_tokens(op, names)
        create_indexes(op, names, {**INDEXES, **PLACE})
    else:
        add_place(op, names)
        create_indexes(op, names, PLACE)


def add_place(op: Operations, names: Names) -> None:
    """The column, filled, and then never empty."""
    name = f"{names.prefix}tokens"
    op.add_column(name, sa.Column("place", sa.BigInteger), schema=names.schema)
    tokens = sa.table(name, *map(sa.column, ("sequence", *IDENTITY, "place")), schema=names.schema)
    numbered = sa.select(tokens.c.sequence, place(tokens)).subquery("numbered")
    op.execute(
        sa.update(tokens).where(tokens.c.sequence == numbered.c.sequence).values(place=numbered.c.place),
    )
    op.alter_column(name, "place", nullable=False, schema=names.schema)


def replace_tokens(op: Operations, names: Names) -> None:
    """Another table with the same rows gets the name, and continues the sequence."""
    name = f"{names.prefix}tokens"
    tokens = sa.table(name, *map(sa.column, COPIED), schema=names.schema)
    new = create_tokens(op, names, f"{name}_new")
    rows = sa.select(*tokens.c, place(tokens)).order_by(tokens.c.sequence)
    op.execute(sa.insert(new).from_select([*COPIED, "place"], rows, include_defaults=False))
    numbers = sa.table("sqlite_sequence", sa.column("name"), sa.column("seq"), schema=names.schema)
    op.execute(sa.delete(numbers).where(numbers.c.name == new.name))
    last = sa.select(sa.literal(new.name), numbers.c.seq).where(numbers.c.name == name)
    op.execute(sa.insert(numbers).from_select(["name", "seq"], last))
    op.drop_table(name, schema=names.schema)
    op.rename_table(new.name, name, schema=names.schema)


def place(tokens: sa.TableClause) -> sa.Label[int]:
    """How many tokens of the same owner are older."""
    older = sa.over(
        sa.func.row_number(), partition_by=[tokens.c.country_code, tokens.c.party_id], order_by=tokens.c.sequence
    )
    return (older - 1).label("place")


def create_tokens(op: Operations, names: Names, name: str) -> sa.Table:
    """The tokens as they are from this revision on, without their indexes."""
    return create_objects(
        op,
        names,
        name,
        IDENTITY,
        sa.Column("uid", sa.Text),
        sa.Column("auth_id", sa.Text),
        sa.Column("valid", sa.Boolean),
        sa.Column("whitelist", sa.Text),
        sa.Column("place", sa.BigInteger, nullable=False),
        sa.UniqueConstraint(*IDENTITY, name=f"uq_{names.prefix}tokens"),
    )


def create_indexes(op: Operations, names: Names, indexes: Mapping[str, tuple[str, ...]]) -> None:
    """Indexes of the tokens."""
    for name, columns in indexes.items():
        create_index(op, names, f"{names.prefix}tokens", name, *columns)
