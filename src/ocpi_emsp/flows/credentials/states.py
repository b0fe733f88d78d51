"""The state of a partner, and what may happen in each state: one table.

Rules of this module (credentials.md 1 and 3; docs/spec-choices.md row 19):
- every change of a party's state goes through :data:`TRANSITIONS`; docs/how-to/credentials.md draws it from here;
- forbidden changes are in the table too, with the reason: nothing depends on the order of events;
- a failed renewal, by either side, leaves the state; a failed first handshake leaves no party.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from enum import Enum

from ocpi_emsp.errors import AlreadyRegistered, MethodNotAllowed, NotAuthenticated, NotRegistered, OcpiError
from ocpi_emsp.flows.parties.party import PartyState


class PartyChange(Enum):
    """What can happen between a partner and us."""

    INVITED = "we invite it"
    OUR_POST = "our POST begins"
    OUR_POST_ANSWERED = "our POST is answered"
    OUR_POST_FAILED = "our POST fails"
    THEIR_POST = "its POST"
    THEIR_PUT = "its PUT"
    THEIR_PATCH = "its PATCH"
    THEIR_DELETE = "its DELETE"
    OUR_PUT = "our PUT or PATCH begins"
    OUR_PUT_ANSWERED = "our PUT or PATCH is answered"
    OUR_PUT_FAILED = "our PUT or PATCH fails"
    OUR_DELETE = "our DELETE"
    FORGOTTEN = "we forget it without telling it"


class Refused(Enum):
    """Why a change is forbidden."""

    UNKNOWN_TOKEN = "401: it has no token"
    READING_ONLY = "401: this token only reads our versions"
    REGISTERED_ALREADY = "405: it is registered already"
    NOT_REGISTERED_YET = "405: it is not registered yet"
    HAS_A_REGISTRATION = "refused here: there is a registration, which is renewed or ended"
    NO_REGISTRATION = "refused here: there is no registration"


class UnknownParty(Enum):
    """A partner that is unknown, or no longer known."""

    UNKNOWN = "unknown"


UNKNOWN = UnknownParty.UNKNOWN
Standing = PartyState | UnknownParty
_S, _C, _R = PartyState, PartyChange, Refused

TRANSITIONS: Mapping[Standing, Mapping[PartyChange, Standing | Refused]] = {
    UNKNOWN: {
        _C.INVITED: _S.INVITED,
        _C.OUR_POST: _S.REGISTERING,
        # The response to our POST names the party; until then there was a placeholder.
        _C.OUR_POST_ANSWERED: _S.REGISTERED,
        _C.OUR_POST_FAILED: UNKNOWN,
        _C.THEIR_POST: _R.UNKNOWN_TOKEN,
        _C.THEIR_PUT: _R.UNKNOWN_TOKEN,
        _C.THEIR_PATCH: _R.UNKNOWN_TOKEN,
        _C.THEIR_DELETE: _R.UNKNOWN_TOKEN,
        _C.OUR_PUT: _R.NO_REGISTRATION,
        _C.OUR_PUT_ANSWERED: _R.NO_REGISTRATION,
        _C.OUR_PUT_FAILED: UNKNOWN,
        _C.OUR_DELETE: _R.NO_REGISTRATION,
        _C.FORGOTTEN: _R.NO_REGISTRATION,
    },
    _S.INVITED: {
        _C.INVITED: _S.INVITED,
        _C.OUR_POST: _S.INVITED,
        _C.OUR_POST_ANSWERED: _S.REGISTERED,
        _C.OUR_POST_FAILED: _S.INVITED,
        _C.THEIR_POST: _S.REGISTERED,
        _C.THEIR_PUT: _R.NOT_REGISTERED_YET,
        _C.THEIR_PATCH: _R.NOT_REGISTERED_YET,
        _C.THEIR_DELETE: _R.NOT_REGISTERED_YET,
        _C.OUR_PUT: _R.NO_REGISTRATION,
        _C.OUR_PUT_ANSWERED: _R.NO_REGISTRATION,
        _C.OUR_PUT_FAILED: _S.INVITED,
        _C.OUR_DELETE: _R.NO_REGISTRATION,
        _C.FORGOTTEN: UNKNOWN,
    },
    _S.REGISTERING: {
        _C.INVITED: _S.REGISTERING,
        _C.OUR_POST: _S.REGISTERING,
        _C.OUR_POST_ANSWERED: _S.REGISTERED,
        _C.OUR_POST_FAILED: UNKNOWN,
        _C.THEIR_POST: _R.READING_ONLY,
        _C.THEIR_PUT: _R.READING_ONLY,
        _C.THEIR_PATCH: _R.READING_ONLY,
        _C.THEIR_DELETE: _R.READING_ONLY,
        _C.OUR_PUT: _R.NO_REGISTRATION,
        _C.OUR_PUT_ANSWERED: _R.NO_REGISTRATION,
        _C.OUR_PUT_FAILED: UNKNOWN,
        _C.OUR_DELETE: _R.NO_REGISTRATION,
        _C.FORGOTTEN: UNKNOWN,
    },
    _S.REGISTERED: {
        _C.INVITED: _R.HAS_A_REGISTRATION,
        _C.OUR_POST: _S.REGISTERED,
        _C.OUR_POST_ANSWERED: _R.HAS_A_REGISTRATION,
        _C.OUR_POST_FAILED: _S.REGISTERED,
        _C.THEIR_POST: _R.REGISTERED_ALREADY,
        _C.THEIR_PUT: _S.REGISTERED,
        _C.THEIR_PATCH: _S.REGISTERED,
        _C.THEIR_DELETE: _S.UNREGISTERED,
        _C.OUR_PUT: _S.REGISTERED,
        _C.OUR_PUT_ANSWERED: _S.REGISTERED,
        _C.OUR_PUT_FAILED: _S.REGISTERED,
        _C.OUR_DELETE: UNKNOWN,
        _C.FORGOTTEN: UNKNOWN,
    },
    _S.UNREGISTERED: {
        _C.INVITED: _S.INVITED,
        _C.OUR_POST: _S.UNREGISTERED,
        _C.OUR_POST_ANSWERED: _S.REGISTERED,
        _C.OUR_POST_FAILED: _S.UNREGISTERED,
        _C.THEIR_POST: _S.REGISTERED,
        _C.THEIR_PUT: _R.NOT_REGISTERED_YET,
        _C.THEIR_PATCH: _R.NOT_REGISTERED_YET,
        _C.THEIR_DELETE: _R.NOT_REGISTERED_YET,
        _C.OUR_PUT: _R.NO_REGISTRATION,
        _C.OUR_PUT_ANSWERED: _R.NO_REGISTRATION,
        _C.OUR_PUT_FAILED: _S.UNREGISTERED,
        _C.OUR_DELETE: _R.NO_REGISTRATION,
        _C.FORGOTTEN: UNKNOWN,
    },
}
"""The state after a change, or why it is forbidden; every change is in every row."""


def after(
    standing: Standing, change: PartyChange, who: object, *, allow: Sequence[str] = ("GET", "POST")
) -> PartyState:
    """Return the state after a change that leaves the party known. Raises the errors of :func:`require`."""
    state = require(standing, change, who, allow=allow)
    if not isinstance(state, PartyState):
        raise NotRegistered(f"{who} is no longer known")
    return state


def require(
    standing: Standing, change: PartyChange, who: object, *, allow: Sequence[str] = ("GET", "POST")
) -> Standing:
    """Return the state after a change. Raises the error of a forbidden one.

    That is MethodNotAllowed or NotAuthenticated for a party's request, AlreadyRegistered or NotRegistered for our own
    action. ``allow`` are the methods that the party may use instead.
    """
    outcome = TRANSITIONS[standing][change]
    if isinstance(outcome, Refused):
        raise _error(outcome, who, allow)
    return outcome


def _error(refused: Refused, who: object, allow: Sequence[str]) -> OcpiError:
    match refused:
        case Refused.REGISTERED_ALREADY:
            return MethodNotAllowed(f"{who} is registered already", allow=allow)
        case Refused.NOT_REGISTERED_YET:
            return MethodNotAllowed(f"{who} is not registered yet", allow=allow)
        case Refused.READING_ONLY:
            return NotAuthenticated("this token is for the registration only")
        case Refused.UNKNOWN_TOKEN:
            return NotAuthenticated("the token is not known")
        case Refused.HAS_A_REGISTRATION:
            return AlreadyRegistered(
                f"{who} is registered already: partner.update() or 'ocpi-emsp party update {who}' renews the "
                f"registration, partner.unregister() or 'ocpi-emsp party unregister {who}' ends it; with tell=False "
                "or --no-tell for a partner that lost its data"
            )
        case Refused.NO_REGISTRATION:
            return NotRegistered(f"there is no registration with {who}")
