"""Requests drawn from the OpenAPI description of an eMSP, and the check of their answers: schemathesis does both.

Rules of this module:
- a case is a mapping of texts, so that it can be stored and made again (fuzz/targets.py);
- each request is made by one without a token, one that is invited, another party and the owner of the objects;
- what is drawn is aimed at stored objects at times, since ids out of the blue are only ever 404.
"""

from __future__ import annotations

import json
import logging
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import cache
from typing import Any, Final, TypeAlias

import schemathesis
from hypothesis import strategies as st
from schemathesis import Case as Drawn, GenerationMode
from schemathesis.checks import CHECKS, load_all_checks
from schemathesis.core import NotSet

from ocpi_emsp import Emsp
from ocpi_emsp.storage import MemoryStore
from our_emsp import make_emsp
from two_parties import DRIVER, SECRET, TwoParties, two_parties

Case: TypeAlias = Mapping[str, str]

ASKING: Final = ("nobody", "invited", "other", "owner")
DOORS: Final = ("asgi", "wsgi")
"""Each request is made by all of them through both: to draw one takes ten times as long as to answer it."""
_KNOWN: Final = {
    "country_code": "NL",
    "party_id": "TNM",
    "location_id": "LOC1",
    "evse_uid": "LOC1-E1",
    "connector_id": "1",
    "session_id": "SES1",
    "tariff_id": "TAR1",
    "cdr_id": "CDR1",
    "token_uid": DRIVER,
    "command": "START_SESSION",
}
_IDENTITIES: Final = {"evse_uid": "uid"}
"""The member of a body that is a parameter of its path, where it is not ``id``."""
_CHECKS: Final = (
    "not_a_server_error",
    "status_code_conformance",
    "content_type_conformance",
    "response_headers_conformance",
    "response_schema_conformance",
)
"""What is left out: a request that deviates may be accepted, and one that is valid may be refused."""
_MODES: Final = (GenerationMode.POSITIVE, GenerationMode.NEGATIVE)
_REQUESTS: Final = 300
"""After so many requests the eMSP is a new one, so that its store stays small."""


class Served:
    """The eMSP that is asked; a new one after so many requests, and once its registration may have changed."""

    def __init__(self) -> None:
        self._world: TwoParties | None = None
        self._left = 0

    def world(self) -> TwoParties:
        """The eMSP of now."""
        if self._world is None or self._left == 0:
            self._world, self._left = two_parties(MemoryStore()), _REQUESTS
        self._left -= 1
        return self._world

    def forget(self) -> None:
        """Have a new one next."""
        self._world = None


SERVED: Final = Served()


@cache
def _description() -> Any:
    """The description of everything that there is, by operationId."""
    load_all_checks()
    document = make_emsp().openapi()
    loaded = schemathesis.openapi.from_dict(document)
    found: Iterable[Any] = loaded.get_all_operations()
    return {each.definition.raw["operationId"]: each for each in (result.ok() for result in found)}


def operations() -> list[str]:
    """The operations, by their ids."""
    return list(_description())


def cases(names: Sequence[str]) -> st.SearchStrategy[Case]:
    """Requests of these operations: as described, and otherwise."""
    return st.one_of([_of(name, mode) for name in names for mode in _MODES])


def _of(name: str, mode: GenerationMode) -> st.SearchStrategy[Case]:
    drawn = _description()[name].as_strategy(generation_mode=mode)
    return st.builds(_as_texts, st.just(name), drawn, st.integers(0, 3), st.booleans())


def _as_texts(name: str, drawn: Drawn[Any], aimed: int, named: bool) -> Case:
    path = dict(drawn.path_parameters or {})
    if aimed:
        path |= {each: _KNOWN[each] for each in path if each in _KNOWN}
    body = drawn.body
    if named and isinstance(body, dict) and path:
        last = list(path)[-1]
        body = {**body, _IDENTITIES.get(last, "id"): path[last]}
    return {
        "operation": name,
        "path": json.dumps(path, default=str),
        "query": json.dumps(drawn.query or {}, default=str),
        "headers": json.dumps(dict(drawn.headers or {}), default=str),
        "body": "" if isinstance(body, NotSet) else json.dumps(body, default=str),
    }


def conforms(case: Case) -> None:
    """The answers to a case are what the description says of it, and hold nothing of another party."""
    with _silent():
        for who in ASKING:
            for door in DOORS:
                _conforms(case, who, door)


def _conforms(case: Case, who: str, door: str) -> None:
    operation, world = _description()[case["operation"]], SERVED.world()
    path = json.loads(case["path"])
    if path.get("command") == _KNOWN["command"]:
        path["uid"] = world.command
    body = {"body": json.loads(case["body"]), "media_type": "application/json"} if case["body"] else {}
    made = operation.Case(path_parameters=path, query=json.loads(case["query"]), **body)
    headers = dict(json.loads(case["headers"]))
    if who != "nobody":
        headers["Authorization"] = f"Token {world.tokens[who]}"
    response = made.call(app=_app(world.emsp, door), base_url=world.emsp.identity.url, headers=headers)
    made.validate_response(response, checks=[CHECKS.get_one(each) for each in _CHECKS])
    assert who == "owner" or SECRET.encode() not in response.content
    assert who != "nobody" or response.status_code == 401
    assert response.status_code != 429, "a limit keeps the requests from being read"
    if "credentials" in case["operation"] and operation.method != "get" and response.status_code < 400:
        SERVED.forget()


def _app(emsp: Emsp, door: str) -> Any:
    return emsp.asgi(background=False) if door == "asgi" else emsp.wsgi()


@contextmanager
def _silent() -> Iterator[None]:
    log = logging.getLogger("ocpi_emsp")
    level = log.level
    log.setLevel(logging.CRITICAL)
    try:
        yield
    finally:
        log.setLevel(level)
