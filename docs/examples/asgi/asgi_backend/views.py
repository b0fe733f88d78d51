"""The views of the project: each takes a JSON object and what its path names, and gives JSON, or None: not found."""

import asyncio
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime
from typing import Any

from asgi_backend.charging import emsp
from asgi_backend.database import transaction
from ocpi_emsp import Token
from ocpi_emsp.models import TokenType, WhitelistType

View = Callable[..., Awaitable[Any]]


async def location(_: Any, cpo: str, location_id: str) -> Any:
    """A location as the CPO sent it."""
    found = await emsp.aio.locations.get(cpo, location_id)
    return found and {"city": found.city, "evses": {evse.uid: evse.status.value for evse in found.evses}}


async def new_driver(given: Any) -> Any:
    """Store a driver and their token, in a thread, since sqlite3 blocks."""
    await asyncio.to_thread(_store_driver, given["token_uid"], given["name"])
    return {"driver": given["token_uid"]}


def _store_driver(uid: str, name: str) -> None:
    token = Token(
        uid=uid,
        type=TokenType.RFID,
        auth_id=uid,
        issuer=emsp.identity.business_details.name,
        valid=True,
        whitelist=WhitelistType.NEVER,
        last_updated=datetime.now(UTC),
    )
    with transaction() as connection, emsp.joined(connection):  # both or none
        connection.execute("INSERT OR REPLACE INTO drivers VALUES (?, ?, ?)", [uid, name, True])
        emsp.tokens.put(token)


async def start(asked: Any) -> Any:
    """Start a charge. The CPO calls back meanwhile, so no transaction is open here."""
    token = await emsp.aio.tokens.get(asked["token_uid"])
    if token is None:
        return None
    async with emsp.aio.partner(asked["cpo"]).client() as cpo:
        pending = await cpo.start_session(token=token, location_id=asked["location_id"])
        result = await pending.result(timeout=30)
        return {"result": result.value, "session": await pending.session(timeout=30)}


async def stop(asked: Any) -> Any:
    """Stop a charge; its CDR follows."""
    async with emsp.aio.partner(asked["cpo"]).client() as cpo:
        pending = await cpo.stop_session(session_id=asked["session"])
        result = await pending.result(timeout=30)
    return {"result": result.value}


async def charges(_: Any) -> Any:
    """What is to be billed."""
    return await asyncio.to_thread(_charges)


def _charges() -> list[dict[str, str]]:
    with transaction() as connection:
        rows = connection.execute("SELECT cpo, driver, cost, currency FROM charges ORDER BY cpo, cdr_id").fetchall()
    return [{"cost": f"{row['cost']} {row['currency']}", "cpo": row["cpo"], "driver": row["driver"]} for row in rows]


VIEWS: dict[tuple[str, str, int], View] = {
    ("GET", "locations", 2): location,
    ("POST", "drivers", 0): new_driver,
    ("POST", "start", 0): start,
    ("POST", "stop", 0): stop,
    ("GET", "charges", 0): charges,
}
"""By method, the first part of the path, and how many follow."""
