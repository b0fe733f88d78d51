"""A CPO on extrawest-ocpi, as its own documentation shows one: classes for its records, its tokens, and an app.

It runs in an environment of its own (``requirements.txt``), on a socket that it inherits. One JSON object on standard
input says what it has; ``GET /seen`` says what it was sent. extrawest-ocpi takes its settings from the environment.
"""

from __future__ import annotations

import json
import socket
import sys
from datetime import datetime
from typing import Any

import uvicorn
from py_ocpi.core.adapter import BaseAdapter
from py_ocpi.core.authentication.authenticator import Authenticator
from py_ocpi.core.crud import Crud
from py_ocpi.core.enums import Action, ModuleID, RoleEnum
from py_ocpi.main import get_application
from py_ocpi.modules.versions.enums import VersionNumber

GIVEN: dict[str, Any] = json.load(sys.stdin)
"""``socket`` (file descriptor), ``url`` (of its versions), ``token_a``, ``token_c``, ``operator_token``, ``page``
(objects of a page at most), ``records`` by module and id."""

RECORDS: dict[str, dict[str, Any]] = {"tokens": {}, **GIVEN["records"]}
PARTNER: dict[str, Any] = {}
"""The credentials that the eMSP gave us, and its endpoints."""
COMMANDS: list[dict[str, Any]] = []
RESULTS = ["ACCEPTED"]
"""What each command results in; empty: the charge point does not answer, and extrawest asks it every two seconds."""


class Tokens(Authenticator):
    """Token A until it is used; token C from then on, and the one that our own backend asks for pushes with."""

    @classmethod
    async def get_valid_token_a(cls) -> list[str]:
        return [] if PARTNER else [GIVEN["token_a"]]

    @classmethod
    async def get_valid_token_c(cls) -> list[str]:
        return [GIVEN["operator_token"], *([GIVEN["token_c"]] if PARTNER else [])]


class Records(Crud):
    """What the CPO has, in memory."""

    @classmethod
    async def get(cls, module: ModuleID, role: RoleEnum, id: Any, *args: Any, **given: Any) -> Any:
        if module == ModuleID.commands:
            return {"result": RESULTS[0]} if RESULTS else None
        if module == ModuleID.credentials_and_registration:
            return own_credentials()
        return RECORDS[module.value].get(id)

    @classmethod
    async def list(
        cls, module: ModuleID, role: RoleEnum, filters: dict[str, Any], *args: Any, **given: Any
    ) -> tuple[list[Any], int, bool]:
        begin, end = (wire_time(filters[name]) for name in ("date_from", "date_to"))
        found = [
            each
            for each in RECORDS[module.value].values()
            if (not begin or each["last_updated"] >= begin) and (not end or each["last_updated"] < end)
        ]
        filters["limit"] = min(filters["limit"], GIVEN["page"])
        page = found[filters["offset"] : filters["offset"] + filters["limit"]]
        return page, len(found), filters["offset"] + len(page) >= len(found)

    @classmethod
    async def create(cls, module: ModuleID, role: RoleEnum, data: dict[str, Any], *args: Any, **given: Any) -> Any:
        return await cls.update(module, role, data, data.get("uid"), *args, **given)

    @classmethod
    async def update(
        cls, module: ModuleID, role: RoleEnum, data: dict[str, Any], id: Any, *args: Any, **given: Any
    ) -> Any:
        if module == ModuleID.credentials_and_registration:
            PARTNER.update(data)
            return own_credentials()
        RECORDS[module.value][id] = data
        return data

    @classmethod
    async def delete(cls, module: ModuleID, role: RoleEnum, id: Any, *args: Any, **given: Any) -> None:
        PARTNER.clear()

    @classmethod
    async def do(cls, module: ModuleID, role: RoleEnum, action: Action, *args: Any, **given: Any) -> Any:
        if action == Action.get_client_token:
            return PARTNER["credentials"]["token"]
        COMMANDS.append({"command": given["command"].value, **args[0]})
        return {"result": "ACCEPTED"}


def wire_time(moment: datetime | None) -> str | None:
    """A moment as it stands in a record."""
    return None if moment is None else moment.strftime("%Y-%m-%dT%H:%M:%SZ")


def own_credentials() -> dict[str, Any]:
    """Ours, for the eMSP."""
    return {
        "token": GIVEN["token_c"],
        "url": GIVEN["url"],
        "business_details": {"name": "The New Motion"},
        "party_id": "TNM",
        "country_code": "NL",
    }


MODULES = ("locations", "sessions", "cdrs", "tariffs", "tokens", "commands", "credentials")
app = get_application(
    version_numbers=[VersionNumber.v_2_2_1, VersionNumber.v_2_1_1],
    roles=[RoleEnum.cpo],
    modules=[ModuleID(name) for name in MODULES],
    authenticator=Tokens,
    crud=Records,
    adapter=BaseAdapter,
    http_push=True,
)


@app.get("/seen")
async def seen() -> dict[str, Any]:
    """What the eMSP sent."""
    return {"tokens": RECORDS["tokens"], "partner": PARTNER, "commands": COMMANDS}


@app.post("/begin")
async def begin(state: dict[str, Any]) -> None:
    """Begin anew, as a partner of ``partner`` where it is given, with another ``token_a`` where that is; ``results``:
    whether commands get one at once.
    """
    GIVEN["token_a"] = state.get("token_a", GIVEN["token_a"])
    PARTNER.clear()
    PARTNER.update(state.get("partner", {}))
    RECORDS["tokens"].clear()
    COMMANDS.clear()
    RESULTS[:] = ["ACCEPTED"] if state.get("results", True) else []


if __name__ == "__main__":
    uvicorn.Server(uvicorn.Config(app, log_level="warning")).run(sockets=[socket.socket(fileno=GIVEN["socket"])])
