"""The application: the views of the project, and the eMSP below /ocpi/emsp, the path of OCPI_EMSP_URL."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from typing import Annotated

from fastapi import FastAPI, HTTPException, Path, Request
from fastapi.responses import JSONResponse
from pydantic import BaseModel, Field
from sqlalchemy import select

from fastapi_backend.charging import emsp
from fastapi_backend.database import Base, Charge, Driver, engine, sessions
from ocpi_emsp import OcpiError, Token
from ocpi_emsp.errors import InvalidObject
from ocpi_emsp.models import TokenType, WhitelistType

PARTY = r"^[A-Z]{2}-[A-Z0-9]{3}$"


@asynccontextmanager
async def lifespan(_: FastAPI) -> AsyncIterator[None]:
    """Do the background work while the server runs: a mounted application has no lifespan of its own."""
    async with engine.begin() as connection:
        await connection.run_sync(Base.metadata.create_all)
    async with emsp.aio.running(sync_every=timedelta(hours=4)):
        yield
    await emsp.aio.close()
    await engine.dispose()


app = FastAPI(lifespan=lifespan)
app.mount("/ocpi/emsp", emsp.asgi(background=False))


class NewDriver(BaseModel):
    """A driver, and the uid of their card."""

    name: str
    token_uid: str = Field(min_length=1, max_length=36)


class Start(BaseModel):
    """Where a driver wants to charge."""

    token_uid: str
    cpo: str = Field(pattern=PARTY)
    location_id: str


class Stop(BaseModel):
    """A session that is to end."""

    cpo: str = Field(pattern=PARTY)
    session: str


@app.exception_handler(OcpiError)
@app.exception_handler(TimeoutError)
async def failed(_: Request, error: Exception) -> JSONResponse:
    """Say why a command was not sent, or that the CPO does not do it."""
    status = 422 if isinstance(error, InvalidObject) else 504 if isinstance(error, TimeoutError) else 502
    return JSONResponse({"error": str(error)}, status_code=status)


@app.get("/locations/{cpo}/{location_id}")
async def location(cpo: Annotated[str, Path(pattern=PARTY)], location_id: str) -> dict[str, object]:
    """A location as the CPO sent it."""
    found = await emsp.aio.locations.get(cpo, location_id)
    if found is None:
        raise HTTPException(404)
    return {"city": found.city, "evses": {evse.uid: evse.status.value for evse in found.evses}}


@app.post("/drivers", status_code=201)
async def new_driver(given: NewDriver) -> dict[str, str]:
    """Store a driver and their token: both or none."""
    token = Token(
        uid=given.token_uid,
        type=TokenType.RFID,
        auth_id=given.token_uid,
        issuer=emsp.identity.business_details.name,
        valid=True,
        whitelist=WhitelistType.NEVER,
        last_updated=datetime.now(UTC),
    )
    async with sessions.begin() as session, emsp.aio.joined(session):
        await session.merge(Driver(token_uid=given.token_uid, name=given.name))
        await emsp.aio.tokens.put(token)
    return {"driver": given.token_uid}


@app.post("/start")
async def start(asked: Start) -> dict[str, str | None]:
    """Start a charge. The CPO calls back meanwhile, so no transaction is open here."""
    token = await emsp.aio.tokens.get(asked.token_uid)
    if token is None:
        raise HTTPException(404)
    async with emsp.aio.partner(asked.cpo).client() as cpo:
        pending = await cpo.start_session(token=token, location_id=asked.location_id)
        result = await pending.result(timeout=30)
        return {"result": result.value, "session": await pending.session(timeout=30)}


@app.post("/stop")
async def stop(asked: Stop) -> dict[str, str]:
    """Stop a charge; its CDR follows."""
    async with emsp.aio.partner(asked.cpo).client() as cpo:
        pending = await cpo.stop_session(session_id=asked.session)
        result = await pending.result(timeout=30)
    return {"result": result.value}


@app.get("/charges")
async def charges() -> list[dict[str, str]]:
    """What is to be billed."""
    async with sessions() as session:
        found = await session.scalars(select(Charge).order_by(Charge.cpo, Charge.cdr_id))
        return [{"cost": f"{each.cost} {each.currency}", "cpo": each.cpo, "driver": each.driver} for each in found]
