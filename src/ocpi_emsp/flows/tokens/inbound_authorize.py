"""Real-time authorization (mod_tokens.md 1.3, 2.2.2; docs/how-to/authorization.md).

Rules of this module:
- a body that names no location is a request without one: null, an empty object, an empty location_id; empty names
  beside a location are ignored;
- a uid that differs from one of our tokens only by case means that token; an EVSE may be named by its evse_id; both are
  noted;
- the references are resolved to the party's stored objects; missing ones are left out of the request and of the
  response, which is 2001 if nothing remains; an unknown location is 404 / 2003, and the next sync pulls it;
- the hook decides; without one the stored token does. If the hook is late, raises or returns nonsense, the fallback
  answers; without a fallback it is our fault (500 / 3000), never the partner's;
- only the transaction itself is awaited inside a transaction; the decision is journalled in one of its own or, if no
  hook decides, in the one that reads.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any, NoReturn
from urllib.parse import parse_qsl

from attrs import evolve

from ocpi_emsp import logs
from ocpi_emsp.codec import decode, parse
from ocpi_emsp.codec.documents import dump
from ocpi_emsp.codec.readings import shown
from ocpi_emsp.errors import (
    CannotStore,
    InvalidObject,
    NotEnoughInformation,
    Refusal,
    StoreFailed,
    UnknownLocation,
)
from ocpi_emsp.findings import Finding, Severity, worst
from ocpi_emsp.flows.core.authorize_hook import (
    AuthorizationRequest,
    Nonsense,
    by_token,
    sendable,
    sendable_by_token,
)
from ocpi_emsp.flows.inbound.request import Incoming, deviating
from ocpi_emsp.flows.locations.read import joined
from ocpi_emsp.flows.parties.pending_resync import request_resync
from ocpi_emsp.flows.tokens.authorization_records import Case
from ocpi_emsp.flows.tokens.authorized import NoAnswer, Stored, read_stored
from ocpi_emsp.flows.tokens.evse_names import uids_of
from ocpi_emsp.models import (
    AuthorizationInfo,
    Connector,
    Evse,
    Location,
    LocationReferences,
    Status,
    TokenType,
    WhitelistType,
)
from ocpi_emsp.ports import DeadlinePassed, recorder
from ocpi_emsp.wire import Response

_CLAUSE = "mod_tokens.md#42-locationreferences-class"
_MOST_FINDINGS = 100
"""Findings of one response: a location has no more EVSEs."""


async def authorize(incoming: Incoming) -> Response:
    """Authorize a token in real time; the body may name a location. The decision is journalled."""
    case = Case(incoming, incoming.params["token_uid"], _asked_type(incoming.request.query))
    try:
        info, data = await _decide(case)
    except Refusal as refusal:
        finding = worst(refusal.findings)
        case.because(refusal.message + (f": {finding.message}" if finding else ""))
        await case.refused(refusal.http_status, refusal.status_code)
        raise
    except NoAnswer as error:
        await case.refused(error.http_status, error.status_code)
        raise
    if not case.is_recorded:
        await case.decided(info)
    return incoming.answer(data)


async def _decide(case: Case) -> tuple[AuthorizationInfo, bytes]:
    incoming = case.incoming
    is_large = len(incoming.request.body) > incoming.context.limits.bodies.aside
    case.references = await incoming.context.aside(_asked_place, incoming) if is_large else _asked_place(incoming)
    if incoming.context.authorize is None:
        return await _decide_by_token(case)
    request = _request(case, await _read(case))
    try:
        answer = await incoming.context.authorize(request)
        decision = sendable(request, answer, case.new_authorization_id())
    except NotEnoughInformation:
        case.decided_by = "hook"
        raise
    except Exception as error:  # noqa: BLE001 # whatever a hook does: it is reported, and the driver gets an answer
        _report(case, error, "hook")
    else:
        case.decided_by = "hook"
        return decision
    return _fall_back(case, request)


async def _decide_by_token(case: Case) -> tuple[AuthorizationInfo, bytes]:
    """Read what decides, and record the decision, in one transaction if the store can do that: no hook is awaited.

    If a decision cannot be recorded, the response is sent nevertheless.
    """
    recording = recorder(case.incoming.context.store)
    if recording is None:
        return _of_token(case, await _read(case))
    decision, noted = None, len(case.incoming.deviations)
    try:
        async with recording() as tx:
            stored = await read_stored(case, tx)
            if not stored.lacks_location:
                decision = _of_token(case, stored)
                await case.decided_in(tx, decision[0])
    except (Refusal, NoAnswer) as refusal:
        if not isinstance(refusal, CannotStore):
            raise
        error: Exception = refusal
    except Exception as raised:  # noqa: BLE001 # whatever a store raises
        error = raised
    else:
        return decision or await _unknown_location(case)
    if decision is None:
        case.reasons.clear()
        del case.incoming.deviations[noted:]
        decision = _of_token(case, await _read(case))
    case.not_recorded(decision[0].allowed, error)
    return decision


def _of_token(case: Case, stored: Stored) -> tuple[AuthorizationInfo, bytes]:
    """Return the decision of the stored token. Raises InvalidObject if nothing that the CPO names exists."""
    request = None if stored.is_as_named else _request(case, stored)
    case.decided_by = "token"
    if stored.token.valid and stored.token.whitelist == WhitelistType.ALWAYS:
        case.because("its whitelist is ALWAYS: the CPO should not have had to ask (mod_tokens.md 4.4)")
    if request is None:
        return sendable_by_token(stored.token, case.references, case.new_authorization_id())
    return sendable(request, by_token(request), case.new_authorization_id())


def _fall_back(case: Case, request: AuthorizationRequest) -> tuple[AuthorizationInfo, bytes]:
    """Return the answer of the fallback in place of the hook's. Raises NoAnswer."""
    fallback = case.incoming.context.authorize_fallback
    if fallback is None:
        case.decided_by = "hook"
        raise NoAnswer("the authorize hook gave no answer, and there is no fallback")
    case.decided_by = "fallback"
    try:
        return sendable(request, fallback(request), case.new_authorization_id())
    except NotEnoughInformation:
        raise
    except Exception as error:
        _report(case, error, "fallback")
        raise NoAnswer("neither the authorize hook nor its fallback gave an answer") from error


def _report(case: Case, error: Exception, who: str) -> None:
    """Report what the hook or the fallback did instead of answering: in the decision, and in the log."""
    what = str(error) if isinstance(error, DeadlinePassed | Nonsense) else f"{type(error).__name__}: {error}"
    case.because(f"the {who} gave no answer: {what}"[:300])
    falls_back = who == "hook" and case.incoming.context.authorize_fallback is not None
    logs.error(
        "authorization.failed",
        trace=None if isinstance(error, DeadlinePassed) else error,
        party=case.incoming.party,
        correlation_id=case.incoming.correlation_id,
        by=who,
        error=what,
        then="the fallback decides" if falls_back else "the CPO gets an error",
    )


def _asked_place(incoming: Incoming) -> LocationReferences | None:
    """Return the requested location, or None. Raises NotJson, InvalidObject."""
    if not incoming.request.body.strip():
        return None
    try:
        references = incoming.accept(LocationReferences)
    except InvalidObject:
        said = parse(incoming.request.body)
        if _says_nothing(said):
            return None
        telling = (
            {name: each for name, each in said.items() if not _says_nothing(each)} if isinstance(said, dict) else {}
        )
        if not isinstance(said, dict) or len(telling) == len(said):
            raise
        references = incoming.accept(LocationReferences, dump(telling))
    evses, connectors = _telling(references.evse_uids), _telling(references.connector_ids)
    if references.location_id.strip():
        is_plain = evses == references.evse_uids and connectors == references.connector_ids
        return references if is_plain else evolve(references, evse_uids=evses, connector_ids=connectors)
    if evses or connectors:
        raise deviating("no location", "/location_id", "field.required", "location_id is required, found ''", _CLAUSE)
    return None


def _telling(names: tuple[str, ...]) -> tuple[str, ...]:
    """Return the names; empty if all of them are blank."""
    return names if any(name.strip() for name in names) else ()


def _says_nothing(document: Any) -> bool:
    """Return True for null and a blank text, and for a list or an object that holds nothing else."""
    parts = [document]
    while parts:  # no recursion: the parser accepts deeper nesting than Python calls
        each = parts.pop()
        if isinstance(each, dict | list):
            parts += each.values() if isinstance(each, dict) else each
        elif each is not None and not (isinstance(each, str) and not each.strip()):
            return False
    return True


# --- the request ------------------------------------------------------------------------------------------------------


def _asked_type(query: str) -> str:
    """Return the token's type, in upper case; RFID if none is given. The parameter's name in the clause's table is
    accepted.
    """
    if not query:
        return TokenType.RFID.value
    given = [(name.lower(), value.strip()) for name, value in parse_qsl(query)]
    found = (value for wanted in ("type", "token_type") for name, value in given if name == wanted and value)
    return next(found, TokenType.RFID.value).upper()


async def _read(case: Case) -> Stored:
    """Return the token, the location and its EVSEs, read in one transaction. Raises UnknownObject, UnknownLocation."""
    async with case.incoming.context.store.transaction(read_only=True) as tx:
        stored = await read_stored(case, tx)
    return await _unknown_location(case) if stored.lacks_location else stored


async def _unknown_location(case: Case) -> NoReturn:
    """Request a resync of the location, if the store can record that. Raises UnknownLocation."""
    incoming = case.incoming
    location_id = "" if case.references is None else case.references.location_id
    try:
        async with incoming.context.store.transaction() as tx:
            await request_resync(tx, incoming.party.owner, "locations", location_id, incoming.now)
    except (StoreFailed, InvalidObject) as error:
        logs.warning("resync.not_recorded", party=incoming.party, module="locations", id=location_id, error=error)
    raise UnknownLocation(f"location {shown(location_id)} is not known")


# --- its stored objects -----------------------------------------------------------------------------------------------


def _request(case: Case, stored: Stored) -> AuthorizationRequest:
    """Return the request for the hook. Raises InvalidObject if nothing that the CPO names exists."""
    location = _location(case, stored)
    references, asked_as = case.references, dict[str, str]()
    evses: tuple[Evse, ...] = ()
    connectors: tuple[tuple[str, Connector], ...] = ()
    if location is not None and case.references is not None:
        references, asked_as = _by_uid(case, location, case.references)
        evses = _asked_evses(case, location, references)
        connectors = _asked_connectors(case, evses, references)
    country_code, party_id = stored.owner
    return AuthorizationRequest(
        token=stored.token,
        references=references,
        asked_as=asked_as,
        location=location,
        evses=evses,
        connectors=connectors,
        country_code=country_code,
        party_id=party_id,
        correlation_id=case.incoming.correlation_id,
    )


def _location(case: Case, stored: Stored) -> Location | None:
    if stored.location is None:
        return None
    try:
        return decode(Location, joined(stored.location, stored.evses))
    except InvalidObject as error:  # it was accepted once: not the fault of the requesting party
        case.because("the location as it is stored cannot be read")
        raise NoAnswer(f"the stored location {shown(stored.location.key.id)} cannot be read") from error


def _by_uid(
    case: Case, location: Location, references: LocationReferences
) -> tuple[LocationReferences, dict[str, str]]:
    """Return the references with EVSEs by uid, and the CPO's name of each EVSE that it did not name by uid."""
    uids = uids_of(references.evse_uids, _usable(location))
    if not uids:
        return references, {}
    asked = frozenset(references.evse_uids)
    for name, uid in list(uids.items())[:_MOST_FINDINGS]:
        place = references.evse_uids.index(name)
        message = f"{shown(name)} is read as the EVSE with uid {shown(uid)}"
        case.note(f"/evse_uids/{place}", "authorize.evse.name", message, _CLAUSE)
    asked_as = {uid: name for name, uid in reversed(uids.items()) if uid not in asked}
    return evolve(references, evse_uids=tuple(uids.get(name, name) for name in references.evse_uids)), asked_as


def _usable(location: Location) -> tuple[Evse, ...]:
    return tuple(evse for evse in location.evses if evse.status != Status.REMOVED)


def _asked_evses(case: Case, location: Location, references: LocationReferences) -> tuple[Evse, ...]:
    usable = _usable(location)
    if not references.evse_uids:
        return usable
    asked = frozenset(references.evse_uids)
    found = tuple(evse for evse in usable if evse.uid in asked)
    there = {evse.uid for evse in found}
    if there == asked:
        return found
    once = {evse.uid for evse in location.evses}
    missing = {
        uid: f"EVSE {shown(uid)} {'was removed from' if uid in once else 'is not at'} location {shown(location.id)}"
        for uid in references.evse_uids
        if uid not in there
    }
    _leave_out(case, "evse", "evse_uids", references.evse_uids, missing, is_left=bool(found))
    return found


def _asked_connectors(
    case: Case, evses: Iterable[Evse], references: LocationReferences
) -> tuple[tuple[str, Connector], ...]:
    there = tuple((evse.uid, connector) for evse in evses for connector in evse.connectors)
    if not references.connector_ids:
        return there
    asked = frozenset(references.connector_ids)
    found = tuple((uid, connector) for uid, connector in there if connector.id in asked)
    ids = {connector.id for _, connector in found}
    missing = {
        each: f"connector {shown(each)} is at none of these EVSEs"
        for each in references.connector_ids
        if each not in ids
    }
    _leave_out(case, "connector", "connector_ids", references.connector_ids, missing, is_left=bool(found))
    return found


def _leave_out(
    case: Case, what: str, member: str, asked: Sequence[str], missing: dict[str, str], *, is_left: bool
) -> None:
    """Note missing objects. Raises InvalidObject if none remains."""
    if not is_left:
        findings = tuple(
            Finding(
                pointer=f"/{member}/{place}",
                rule=f"authorize.{what}",
                severity=Severity.ERROR,
                message=missing[name],
                clause=_CLAUSE,
            )
            for place, name in enumerate(asked[:_MOST_FINDINGS])
        )
        raise InvalidObject("none of the named EVSEs and connectors is there", findings=findings)
    for sentence in list(missing.values())[:_MOST_FINDINGS]:
        case.because(f"left out: {sentence}")
