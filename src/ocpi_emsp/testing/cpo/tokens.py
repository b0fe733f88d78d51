"""The eMSP's Token objects at the simulated CPO.

Rules obeyed (OCPI 2.1.1): a client-owned object is at {country_code}/{party_id}/{uid} of the credentials' party, 404
for another one (transport_and_format.md, "Client owned object push"); an id in the URL that differs from the object's
is 2001 (same place, "Errors"); GET, PUT and PATCH (mod_tokens.md 2.1).
"""

import re
from collections.abc import Mapping

from attrs import frozen

from ocpi_emsp.testing.cpo.fields import TOKEN, check
from ocpi_emsp.testing.cpo.registration import Registration
from ocpi_emsp.testing.cpo.settings import Settings
from ocpi_emsp.testing.cpo.wire import Answer, Document, Handler, Json, Request, RequestError, answer, merge


@frozen(kw_only=True)
class ReceivedToken:
    """A PUT or PATCH of a Token object. `document` is its body, None if that is not JSON."""

    method: str
    uid: str
    document: Json
    status: int
    status_code: int | None


class Tokens:
    """Stores Token objects by country_code, party_id and uid, and answers the requests for one of them."""

    def __init__(self, settings: Settings, registration: Registration) -> None:
        self._settings = settings
        self._registration = registration
        self._tokens: dict[tuple[str, ...], Document] = {}

    def all(self) -> list[Document]:
        """Return all tokens, in the order in which they were first received."""
        return list(self._tokens.values())

    def clear(self) -> None:
        """Drop all tokens."""
        self._tokens.clear()

    def put_fetched(self, token: Document) -> None:
        """Add or replace a token that was fetched from the eMSP, if it has a uid."""
        emsp = self._registration.emsp or {}
        if isinstance(token.get("uid"), str):
            self._tokens[emsp.get("country_code", ""), emsp.get("party_id", ""), token["uid"]] = token

    def methods(self) -> Mapping[str, Handler]:
        """Return the methods of one Token object."""
        methods: dict[str, Handler] = {"GET": self._get, "PUT": self._put, "PATCH": self._patch}
        return {method: methods[method] for method in self._settings.token_methods}

    async def _get(self, request: Request) -> Answer:
        return answer(self._settings.now, self._known(request.ids))

    async def _put(self, request: Request) -> Answer:
        self._check(request.ids)
        known = request.ids in self._tokens
        self._store(request.ids, await request.document())
        return answer(self._settings.now, status=200 if known else 201)

    async def _patch(self, request: Request) -> Answer:
        status = self._settings.token_patch_status
        if status is not None:
            raise RequestError(status, 3000 if status >= 500 else 2000, "PATCH failed")
        self._check(request.ids)
        changes = await request.document()
        if not isinstance(changes, dict):
            raise RequestError(200, 2001, "The body is not an object")
        self._store(request.ids, merge(self._known(request.ids), changes))
        return answer(self._settings.now)

    def _known(self, ids: tuple[str, ...]) -> Document:
        self._check_owner(ids)
        if ids not in self._tokens:
            raise RequestError(404, 2000, f"Unknown token: {ids[-1]}")
        return self._tokens[ids]

    def _check(self, ids: tuple[str, ...]) -> None:
        self._check_owner(ids)
        pattern = self._settings.refused_tokens
        if pattern is not None and re.fullmatch(pattern, ids[-1]):
            raise RequestError(200, 2001, f"This token is not accepted: {ids[-1]}")

    def _check_owner(self, ids: tuple[str, ...]) -> None:
        emsp = self._registration.emsp or {}
        if ids[:2] != (emsp.get("country_code"), emsp.get("party_id")):
            raise RequestError(404, 2000, f"Not the party of the credentials: {'/'.join(ids[:2])}")

    def _store(self, ids: tuple[str, ...], document: Json) -> None:
        token = check(document, TOKEN)
        if token["uid"] != ids[-1]:
            raise RequestError(200, 2001, f"The URL names '{ids[-1]}', the token is '{token['uid']}'")
        self._tokens[ids] = token
