"""What the project stores itself; locations, sessions and CDRs are in the tables of the library, beside these."""

import os
from collections.abc import AsyncIterator

from sqlalchemy import Boolean, Column, MetaData, String, Table
from sqlalchemy.ext.asyncio import AsyncConnection, create_async_engine

URL = os.environ["OCPI_EMSP_STORE"]
engine = create_async_engine(URL)
metadata = MetaData()
drivers = Table(
    "drivers",
    metadata,
    Column("token_uid", String, primary_key=True),
    Column("name", String, nullable=False),
    Column("may_charge", Boolean, nullable=False),
)
charges = Table(
    "charges",
    metadata,
    Column("cpo", String, primary_key=True),
    Column("cdr_id", String, primary_key=True),
    Column("driver", String, nullable=False),
    Column("cost", String, nullable=False),  # exact; SQLite has no decimals, on PostgreSQL it is a Numeric
    Column("currency", String, nullable=False),
)


async def transaction() -> AsyncIterator[AsyncConnection]:
    """A connection for one request: Litestar ends the block with it, which commits, or rolls back an error."""
    async with engine.begin() as connection:
        yield connection
