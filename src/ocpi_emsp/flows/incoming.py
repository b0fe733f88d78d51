"""One request from a partner, on its way through a flow.

Rules of this module:
- a party writes only under its own country_code and party_id (transport_and_format.md, client owned object push);
- an object's id in the body is the one in the URL (2001 otherwise);
- what is kept as stored although something else was received is answered 1000 and says why (docs/spec-choices.md 15).
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import TypeVar

from attrs import field, frozen

from ocpi_emsp.check import Policy, accept
from ocpi_emsp.errors import InvalidObject
from ocpi_emsp.findings import Finding, Severity
from ocpi_emsp.flows.context import Context
from ocpi_emsp.flows.parties import Caller, Party, matrix_of, policy_of
from ocpi_emsp.ports import Entry, Key
from ocpi_emsp.support import SupportMatrix
from ocpi_emsp.wire import Request, Response, success

T = TypeVar("T")

JSON = ("content-type", "application/json")
_ID_CLAUSE = "transport_and_format.md#errors"


@frozen
class Incoming:
    """A request that was authenticated and matched to a route."""

    context: Context
    caller: Caller
    request: Request
    params: Mapping[str, str]
    correlation_id: str
    now: datetime
    in_hand: list[Entry] = field(factory=list)
    """Events that are delivered once the flow is done."""
    touched: list[Key] = field(factory=list)
    """Objects of which the events that wait are delivered then, too."""
    deviations: list[Finding] = field(factory=list)
    """Warnings that were let pass: the answer names the first, a partner report all."""

    @property
    def party(self) -> Party:
        """Who sent it."""
        return self.caller.party

    def key(self, kind: str, object_id: str, parent: str = "") -> Key:
        """The key of one of the party's own objects."""
        return Key(kind, self.party.country_code, self.party.party_id, object_id, parent)

    def accept(self, kind: type[T], data: bytes | None = None) -> T:
        """The typed view of the body, or of ``data``. Raises NotJson, InvalidObject."""
        body = self.request.body if data is None else data
        return accept(body, kind, self.policy, now=self.now, accepted=self.deviations.append)

    @property
    def policy(self) -> Policy:
        """What of this party's payloads is refused."""
        return policy_of(self.party.profile, self.context.policy)

    @property
    def matrix(self) -> SupportMatrix:
        """What is served to this party."""
        return matrix_of(self.party.profile, self.context.matrix)

    def require_id(self, member: str, found: str, wanted: str) -> None:
        """Raises InvalidObject where the id in the body is not the one in the URL."""
        if found != wanted:
            message = f"{member} is {found!r}, the URL says {wanted!r}"
            finding = Finding(
                pointer=f"/{member}", rule="url.id", severity=Severity.ERROR, message=message, clause=_ID_CLAUSE
            )
            raise InvalidObject("the id in the URL differs from the body", findings=(finding,))

    def stored(self, *, created: bool) -> Response:
        """201 for a new object, 200 for a known one (status_codes.md)."""
        return Response(201 if created else 200, [JSON], success(self.now, message=self.said))

    @property
    def said(self) -> str:
        """What the envelope of a success says: which deviation was let pass, if any."""
        if not self.deviations:
            return "Success"
        first, *more = self.deviations
        others = f" ({len(more)} more)" if more else ""
        return f"Success, although {first.pointer}: {first.message} [{first.rule}]{others}"

    def kept(self, reason: str) -> Response:
        """The object stays as it is stored."""
        return Response(200, [JSON], success(self.now, message=f"Kept as stored: {reason}"))

    def answer(self, data: bytes, *, status: int = 200) -> Response:
        """Success with ``data``."""
        return Response(status, [JSON], success(self.now, data))
