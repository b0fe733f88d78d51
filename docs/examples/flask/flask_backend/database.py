"""What the project stores itself; locations, sessions and CDRs are in the tables of the library, beside these."""

import os

from sqlalchemy import create_engine
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column, sessionmaker

URL = os.environ["OCPI_EMSP_STORE"]
engine = create_engine(URL)
Session = sessionmaker(engine)


class Base(DeclarativeBase):
    """The tables of the project: Alembic creates them on a server, create_all on a laptop."""


class Driver(Base):
    """A driver with one RFID card."""

    __tablename__ = "drivers"

    token_uid: Mapped[str] = mapped_column(primary_key=True)
    name: Mapped[str]
    may_charge: Mapped[bool] = mapped_column(default=True)


class Charge(Base):
    """A CDR that a driver is to be billed for."""

    __tablename__ = "charges"

    cpo: Mapped[str] = mapped_column(primary_key=True)
    cdr_id: Mapped[str] = mapped_column(primary_key=True)
    driver: Mapped[str]
    cost: Mapped[str]  # exact; SQLite has no decimals, on PostgreSQL it is a Mapped[Decimal]
    currency: Mapped[str]
