"""What exercises each row of the support matrix from the CPO; test_matrix.py proves that none is missing."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any, TypeAlias

from attrs import evolve, frozen

from ocpi_emsp import Token, decode
from ocpi_emsp.ports import Kind
from ocpi_emsp.support import FROM_CPO, SupportMatrix
from ocpi_emsp.testing.cpo import samples
from ocpi_emsp.testing.cpo.wire import decode as parse, encode
from our_emsp import token
from served.partner import Partner, invite
from served.support import Answer, Document

RowKey: TypeAlias = tuple[str, str, str, str]
"""Module, direction, one method, path of the matrix."""
LATER = "2024-03-01T00:00:00Z"
TOKEN = token("012345678", auth_id="DE8ACC12E46L89", last_updated=datetime(2024, 1, 1, tzinfo=UTC))


def rows() -> list[RowKey]:
    """Every row of the published matrix, one entry for each method."""
    return [
        (row.module, row.direction, method, row.path)
        for row in SupportMatrix.default().rows
        for method in row.methods.split("|")
    ]


def supported(key: RowKey) -> bool:
    """Whether the published matrix says yes; read from the rows, not from the index that the library uses."""
    module, direction, method, path = key
    return next(
        row.supported
        for row in SupportMatrix.default().rows
        if (row.module, row.direction, row.path) == (module, direction, path) and method in row.methods.split("|")
    )


def without(key: RowKey) -> SupportMatrix:
    """Everything but the line of the matrix that this row is in."""
    module, direction, method, path = key
    return SupportMatrix.full().switch(False, module=module, direction=direction, method=method, path=path)


@frozen(kw_only=True)
class FromCpo:
    """`run` is the request; `before` makes what must exist; `check` looks at the outcome."""

    key: RowKey
    name: str
    run: Callable[[Partner], Answer]
    status: int = 200
    before: Callable[[Partner], object] = lambda _: None
    check: Callable[[Partner, Answer], None]


# --- what must exist before -----------------------------------------------------------------------------------------


def put_location(partner: Partner) -> Answer:
    """LOC1 with two EVSEs."""
    return partner.ocpi("PUT", partner.path("locations", "LOC1"), samples.location())


def put_session(partner: Partner) -> Answer:
    """SES1, active."""
    return partner.ocpi("PUT", partner.path("sessions", "SES1"), samples.session(status="ACTIVE"))


def put_tariff(partner: Partner) -> Answer:
    """TAR1."""
    return partner.ocpi("PUT", partner.path("tariffs", "TAR1"), samples.tariff())


def post_cdr(partner: Partner) -> Answer:
    """CDR1."""
    return partner.ocpi("POST", "/2.1.1/cdrs", samples.cdr())


def put_our_token(partner: Partner) -> None:
    """One of our tokens, in the store."""
    partner.emsp.tokens.put(TOKEN)


def put_our_token_and_location(partner: Partner) -> None:
    """A token of ours, and where it may be used."""
    put_our_token(partner)
    put_location(partner)


# --- requests and what must hold after them -------------------------------------------------------------------------


def stored(partner: Partner, kind: str, object_id: str, parent: str = "") -> Document:
    """A stored object."""
    document: Document = parse(partner.objects[partner.key(kind, object_id, parent)])
    return document


def _request(method: str, module: str, *ids: str, body: Document | None = None) -> Callable[[Partner], Answer]:
    return lambda partner: partner.ocpi(method, partner.path(module, *ids), body)


def _credentials(method: str, **changes: Any) -> Callable[[Partner], Answer]:
    def run(partner: Partner) -> Answer:
        body = changes or (None if method == "DELETE" else partner.cpo.credentials())
        return partner.ocpi(method, "/2.1.1/credentials", body)

    return run


def _register_another(partner: Partner) -> Answer:
    cpo = evolve(partner.cpo, country_code="DE", party_id="ABC")
    return invite(partner.ocpi, partner.emsp, cpo)("POST", "/2.1.1/credentials", cpo.credentials())


def _get_cdr(partner: Partner) -> Answer:
    return partner.ocpi("GET", post_cdr(partner).headers["location"])


def _stored_is(kind: str, expected: Document, *ids: str) -> Callable[[Partner, Answer], None]:
    def check(partner: Partner, _: Answer) -> None:
        found = stored(partner, kind, *ids)
        assert {name: found.get(name) for name in expected} == expected

    return check


def _data_is(expected: Document) -> Callable[[Partner, Answer], None]:
    def check(_: Partner, answer: Answer) -> None:
        assert answer.data == expected

    return check


def _fresh_token(partner: Partner, answer: Answer) -> None:
    fresh = partner.ocpi.using(answer.data["token"])
    assert fresh.token not in (partner.ocpi.token, partner.token_a)
    assert fresh("GET", "/2.1.1/credentials").data["token"] == fresh.token


def _unregistered(partner: Partner, _: Answer) -> None:
    assert partner.ocpi("GET", "/versions").both == (200, 1000)  # it may register anew with what it has
    assert partner.ocpi("GET", "/2.1.1/credentials").both == (401, 2000)


def _cdr_stored(partner: Partner, answer: Answer) -> None:
    assert answer.headers["location"] == f"{partner.host.url}/2.1.1/cdrs/CDR1"
    assert stored(partner, Kind.CDR, "CDR1") == samples.cdr()


def _nothing_left(partner: Partner, _: Answer) -> None:
    assert partner.objects == {}


def _listed(_: Partner, answer: Answer) -> None:
    assert [decode(Token, encode(document)) for document in answer.data] == [TOKEN]
    assert (answer.headers["x-total-count"], answer.headers["x-limit"]) == ("1", "100")


# --- the cases ------------------------------------------------------------------------------------------------------


def _case(row: str, name: str, run: Callable[[Partner], Answer], **more: Any) -> FromCpo:
    module, method, path = row.split()
    return FromCpo(key=(module, FROM_CPO, method, path), name=name, run=run, **more)


_LOC1, _E1 = samples.location(), samples.location()["evses"][0]
_BLOCKED = _E1 | {"status": "BLOCKED", "last_updated": LATER}
_STRONGER = _E1["connectors"][0] | {"amperage": 63, "last_updated": LATER}
_RENAMED = {"name": "Other", "last_updated": LATER}
_ACTIVE = samples.session(status="ACTIVE")
_IN_FRANCS = {"currency": "CHF", "last_updated": LATER}
_AT_E1 = ("LOC1", "LOC1-E1")
_STORED_E1 = ("LOC1-E1", "LOC1")

FROM_CPO_CASES: tuple[FromCpo, ...] = (
    _case("credentials POST /credentials", "another", _register_another, status=201, check=_fresh_token),
    _case("credentials PUT /credentials", "credentials", _credentials("PUT"), check=_fresh_token),
    _case(
        "credentials PATCH /credentials",
        "credentials",
        _credentials("PATCH", business_details={"name": "Other"}),
        check=_fresh_token,
    ),
    _case("credentials DELETE /credentials", "credentials", _credentials("DELETE"), check=_unregistered),
    _case(
        "locations GET /locations",
        "location",
        _request("GET", "locations", "LOC1"),
        before=put_location,
        check=_data_is(_LOC1),
    ),
    _case(
        "locations GET /locations",
        "evse",
        _request("GET", "locations", *_AT_E1),
        before=put_location,
        check=_data_is(_E1),
    ),
    _case(
        "locations GET /locations",
        "connector",
        _request("GET", "locations", *_AT_E1, "1"),
        before=put_location,
        check=_data_is(_E1["connectors"][0]),
    ),
    _case(
        "locations PUT /locations/:path",
        "location",
        put_location,
        status=201,
        check=_stored_is(Kind.LOCATION, {"name": _LOC1["name"], "energy_mix": _LOC1["energy_mix"]}, "LOC1"),
    ),
    _case(
        "locations PUT /locations/:path",
        "evse",
        _request("PUT", "locations", *_AT_E1, body=_BLOCKED),
        before=put_location,
        check=_stored_is(Kind.EVSE, _BLOCKED, *_STORED_E1),
    ),
    _case(
        "locations PUT /locations/:path",
        "connector",
        _request("PUT", "locations", *_AT_E1, "1", body=_STRONGER),
        before=put_location,
        check=_stored_is(Kind.EVSE, {"connectors": [_STRONGER]}, *_STORED_E1),
    ),
    _case(
        "locations PATCH /locations/:path",
        "location",
        _request("PATCH", "locations", "LOC1", body=_RENAMED),
        before=put_location,
        check=_stored_is(Kind.LOCATION, _RENAMED | {"city": "Amsterdam"}, "LOC1"),
    ),
    _case(
        "locations PATCH /locations/:path",
        "evse",
        _request("PATCH", "locations", *_AT_E1, body={"status": "CHARGING"}),
        before=put_location,
        check=_stored_is(Kind.EVSE, {"status": "CHARGING", "floor_level": "0"}, *_STORED_E1),
    ),
    _case(
        "locations PATCH /locations/:path",
        "connector",
        _request("PATCH", "locations", *_AT_E1, "1", body={"amperage": 63, "last_updated": LATER}),
        before=put_location,
        check=_stored_is(Kind.EVSE, {"connectors": [_STRONGER]}, *_STORED_E1),
    ),
    _case(
        "sessions GET /sessions/:path",
        "session",
        _request("GET", "sessions", "SES1"),
        before=put_session,
        check=_data_is(_ACTIVE),
    ),
    _case(
        "sessions PUT /sessions/:path",
        "session",
        put_session,
        status=201,
        check=_stored_is(Kind.SESSION, _ACTIVE, "SES1"),
    ),
    _case(
        "sessions PATCH /sessions/:path",
        "session",
        _request("PATCH", "sessions", "SES1", body={"kwh": 20, "last_updated": LATER}),
        before=put_session,
        check=_stored_is(Kind.SESSION, _ACTIVE | {"kwh": 20, "last_updated": LATER}, "SES1"),
    ),
    _case("cdrs GET /cdrs/:path", "cdr", _get_cdr, check=_data_is(samples.cdr())),
    _case("cdrs POST /cdrs", "cdr", post_cdr, status=201, check=_cdr_stored),
    _case(
        "tariffs GET /tariffs",
        "tariff",
        _request("GET", "tariffs", "TAR1"),
        before=put_tariff,
        check=_data_is(samples.tariff()),
    ),
    _case(
        "tariffs PUT /tariffs/:path",
        "tariff",
        put_tariff,
        status=201,
        check=_stored_is(Kind.TARIFF, samples.tariff(), "TAR1"),
    ),
    _case(
        "tariffs PATCH /tariffs/:path",
        "tariff",
        _request("PATCH", "tariffs", "TAR1", body=_IN_FRANCS),
        before=put_tariff,
        check=_stored_is(Kind.TARIFF, samples.tariff() | _IN_FRANCS, "TAR1"),
    ),
    _case(
        "tariffs DELETE /tariffs/:path",
        "tariff",
        _request("DELETE", "tariffs", "TAR1"),
        before=put_tariff,
        check=_nothing_left,
    ),
    _case(
        "tokens GET /tokens",
        "list",
        lambda partner: partner.ocpi("GET", "/2.1.1/tokens"),
        before=put_our_token,
        check=_listed,
    ),
    _case(
        "tokens POST /tokens/:tokenUid/authorize",
        "authorize",
        lambda partner: partner.ocpi("POST", f"/2.1.1/tokens/{TOKEN.uid}/authorize", {"location_id": "LOC1"}),
        before=put_our_token_and_location,
        check=_data_is({"allowed": "ALLOWED", "location": {"location_id": "LOC1"}}),
    ),
)
