"""The application: the views of the project, and the eMSP, which the plugin mounts."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from typing import Annotated, Any

from litestar import Litestar, Request, Response, get, post
from litestar.di import Provide
from litestar.exceptions import NotFoundException
from litestar.params import Parameter
from msgspec import Meta, Struct
from sqlalchemy import delete, insert, select
from sqlalchemy.ext.asyncio import AsyncConnection

from litestar_backend.charging import emsp as our_emsp
from litestar_backend.database import charges, drivers, engine, metadata, transaction
from litestar_backend.plugin import EmspPlugin
from ocpi_emsp import Emsp, OcpiError, Token
from ocpi_emsp.errors import InvalidObject
from ocpi_emsp.models import TokenType, WhitelistType

PARTY = r"^[A-Z]{2}-[A-Z0-9]{3}$"


class NewDriver(Struct):
    """A driver, and the uid of their card."""

    name: str
    token_uid: Annotated[str, Meta(min_length=1, max_length=36)]


class Start(Struct):
    """Where a driver wants to charge."""

    token_uid: str
    cpo: Annotated[str, Meta(pattern=PARTY)]
    location_id: str


class Stop(Struct):
    """A session that is to end."""

    cpo: Annotated[str, Meta(pattern=PARTY)]
    session: str


@get("/locations/{cpo:str}/{location_id:str}")
async def location(emsp: Emsp, cpo: Annotated[str, Parameter(pattern=PARTY)], location_id: str) -> dict[str, object]:
    """A location as the CPO sent it."""
    found = await emsp.aio.locations.get(cpo, location_id)
    if found is None:
        raise NotFoundException
    return {"city": found.city, "evses": {evse.uid: evse.status.value for evse in found.evses}}


@post("/drivers")
async def new_driver(data: NewDriver, emsp: Emsp, connection: AsyncConnection) -> dict[str, str]:
    """Store a driver and their token: both or none."""
    uid = data.token_uid
    token = Token(
        uid=uid,
        type=TokenType.RFID,
        auth_id=uid,
        issuer=emsp.identity.business_details.name,
        valid=True,
        whitelist=WhitelistType.NEVER,
        last_updated=datetime.now(UTC),
    )
    async with emsp.aio.joined(connection):
        await connection.execute(delete(drivers).where(drivers.c.token_uid == uid))
        await connection.execute(insert(drivers).values(token_uid=uid, name=data.name, may_charge=True))
        await emsp.aio.tokens.put(token)
    return {"driver": uid}


@post("/start", status_code=200)
async def start(data: Start, emsp: Emsp) -> dict[str, str | None]:
    """Start a charge. The CPO calls back meanwhile, so no transaction is open here."""
    token = await emsp.aio.tokens.get(data.token_uid)
    if token is None:
        raise NotFoundException
    async with emsp.aio.partner(data.cpo).client() as cpo:
        pending = await cpo.start_session(token=token, location_id=data.location_id)
        result = await pending.result(timeout=30)
        return {"result": result.value, "session": await pending.session(timeout=30)}


@post("/stop", status_code=200)
async def stop(data: Stop, emsp: Emsp) -> dict[str, str]:
    """Stop a charge; its CDR follows."""
    async with emsp.aio.partner(data.cpo).client() as cpo:
        pending = await cpo.stop_session(session_id=data.session)
        result = await pending.result(timeout=30)
    return {"result": result.value}


@get("/charges")
async def billed(connection: AsyncConnection) -> list[dict[str, str]]:
    """What is to be billed."""
    found = await connection.execute(select(charges).order_by(charges.c.cpo, charges.c.cdr_id))
    return [{"cost": f"{each.cost} {each.currency}", "cpo": each.cpo, "driver": each.driver} for each in found]


def failed(_: Request[Any, Any, Any], error: Exception) -> Response[dict[str, str]]:
    """Say why a command was not sent, or that the CPO does not do it."""
    status = 422 if isinstance(error, InvalidObject) else 504 if isinstance(error, TimeoutError) else 502
    return Response({"error": str(error)}, status_code=status)


@asynccontextmanager
async def tables(_: Litestar) -> AsyncIterator[None]:
    """Create the tables of the project; Alembic does so on a server."""
    async with engine.begin() as connection:
        await connection.run_sync(metadata.create_all)
    yield
    await engine.dispose()


app = Litestar(
    route_handlers=[location, new_driver, start, stop, billed],
    dependencies={"connection": Provide(transaction)},
    exception_handlers={OcpiError: failed, TimeoutError: failed},
    lifespan=[tables],
    logging_config=None,  # or yours: that of Litestar has every request of a partner at INFO
    plugins=[EmspPlugin(our_emsp)],
)
