"""The simulated CPO's calls to the eMSP, by name.

Rules obeyed (OCPI 2.1.1): a client-owned object is at {endpoint}/{country_code}/{party_id}/{id}
(transport_and_format.md, "Client owned object push"); a CDR is POSTed to the endpoint and read at the URL that the
answer's Location names (mod_cdrs.md 2.2); an EVSE and a connector follow their location in the URL (mod_locations.md
2.2); authorization is POST {token_uid}/authorize?type= (mod_tokens.md 2.2.2).

An id names a document that this CPO owns; a document that is passed becomes owned before it is sent, so a later GET of
the list returns what was pushed. To send a document that the CPO must not own, use `call`.
"""

from collections.abc import Mapping
from datetime import timedelta

from attrs import define, field, frozen

from ocpi_emsp.testing.cpo.catalogue import Catalogue
from ocpi_emsp.testing.cpo.outgoing import Exchange, Outgoing, path_of
from ocpi_emsp.testing.cpo.registration import Registration
from ocpi_emsp.testing.cpo.settings import Settings
from ocpi_emsp.testing.cpo.tokens import Tokens
from ocpi_emsp.testing.cpo.wire import ABSENT, Absent, Document, Json, answer, decode, timestamp
from ocpi_emsp.transports.library import http


class UnknownObjectError(Exception):
    """This CPO owns no object with that id."""


@frozen
class TokenList:
    """The pages of the eMSP's token list and the Token objects on them."""

    exchanges: list[Exchange]
    tokens: list[Document]


@define(kw_only=True, slots=False, eq=False)
class EmspCalls(Settings):
    """Calls to the eMSP; every one returns the exchange, whatever the response."""

    catalogue: Catalogue = field(init=False, repr=False)
    registration: Registration = field(init=False, factory=Registration)
    outgoing: Outgoing = field(init=False, repr=False)
    token_store: Tokens = field(init=False, repr=False)
    _patches: int = field(init=False, default=0, repr=False)

    def __attrs_post_init__(self) -> None:
        self.registration.invitation = self.token_a
        self.catalogue = Catalogue(self)
        self.outgoing = Outgoing(self, self.registration)
        self.token_store = Tokens(self, self.registration)

    async def call(
        self,
        method: str,
        module: str,
        path: str = "",
        *,
        body: Json | Absent = ABSENT,
        query: Mapping[str, str] | None = None,
        headers: Mapping[str, str] | None = None,
    ) -> Exchange:
        """Send one request to the eMSP and return the exchange, whatever the response.

        `module` is a ModuleID, whose URL is looked up in the eMSP's version details, or an absolute URL that the eMSP
        gave. `path` is appended as it is (encoded already). `body` is JSON, or `bytes` to be sent untouched. `headers`
        are added and may replace `Authorization`. Raises `NotRegisteredError`, `EndpointMissingError` and `HTTPError`
        of the HTTP library (no answer).
        """
        url = self.outgoing.url(module, path)
        return await self.outgoing.send(method, url, body=body, query=query, headers=headers)

    def owned_path(self, *ids: str) -> str:
        """Return `{country_code}/{party_id}/{id}...` of an object that this CPO owns."""
        return path_of(self.country_code, self.party_id, *ids)

    # Locations

    async def push_location(self, location: Document | str) -> Exchange:
        """PUT a location, passed or named by its id."""
        return await self._push("locations", location)

    async def patch_location(self, location_id: str, changes: Document) -> Exchange:
        """PATCH a location."""
        return await self._patch("locations", changes, location_id)

    async def push_evse(self, location_id: str, evse: Document | str) -> Exchange:
        """PUT an EVSE, passed or named by its uid."""
        return await self._push("locations", evse, location_id)

    async def patch_evse(self, location_id: str, evse_uid: str, changes: Document) -> Exchange:
        """PATCH an EVSE, for example its status."""
        return await self._patch("locations", changes, location_id, evse_uid)

    async def push_connector(self, location_id: str, evse_uid: str, connector: Document | str) -> Exchange:
        """PUT a connector, passed or named by its id."""
        return await self._push("locations", connector, location_id, evse_uid)

    async def patch_connector(self, location_id: str, evse_uid: str, connector_id: str, changes: Document) -> Exchange:
        """PATCH a connector."""
        return await self._patch("locations", changes, location_id, evse_uid, connector_id)

    async def get_location(self, *ids: str) -> Exchange:
        """GET a location, EVSE or connector (its ids in the order of the URL) as the eMSP stores it."""
        return await self.call("GET", "locations", self.owned_path(*ids))

    # Sessions

    async def push_session(self, session: Document | str) -> Exchange:
        """PUT a session, passed or named by its id."""
        return await self._push("sessions", session)

    async def patch_session(self, session_id: str, changes: Document) -> Exchange:
        """PATCH a session."""
        exchange = await self._patch("sessions", changes, session_id)
        if self.sessions_taken_back and changes.get("status") == "COMPLETED":
            half = self.known("sessions", session_id)["kwh"] / 2
            await self._patch("sessions", {"status": "INVALID", "kwh": half}, session_id)
        return exchange

    async def get_session(self, session_id: str) -> Exchange:
        """GET a session as the eMSP stores it."""
        return await self.call("GET", "sessions", self.owned_path(session_id))

    # Tariffs

    async def push_tariff(self, tariff: Document | str) -> Exchange:
        """PUT a tariff, passed or named by its id."""
        return await self._push("tariffs", tariff)

    async def patch_tariff(self, tariff_id: str, changes: Document) -> Exchange:
        """PATCH a tariff."""
        return await self._patch("tariffs", changes, tariff_id)

    async def delete_tariff(self, tariff_id: str) -> Exchange:
        """DELETE a tariff, which this CPO then no longer lists either."""
        self.catalogue.tariffs.remove(tariff_id)
        return await self.call("DELETE", "tariffs", self.owned_path(tariff_id))

    async def get_tariff(self, tariff_id: str) -> Exchange:
        """GET a tariff as the eMSP stores it."""
        return await self.call("GET", "tariffs", self.owned_path(tariff_id))

    # CDRs

    async def post_cdr(self, cdr: Document | str) -> Exchange:
        """POST a CDR, passed or named by its id; the response's Location header is its URL."""
        return await self.call("POST", "cdrs", body=self._own("cdrs", cdr))

    async def get_cdr(self, location: str) -> Exchange:
        """GET a CDR at the URL, absolute or relative, from the response to `post_cdr`."""
        return await self.call("GET", self.outgoing.resolve("cdrs", location))

    # Tokens

    async def get_tokens(
        self,
        *,
        date_from: str | None = None,
        date_to: str | None = None,
        offset: int | None = None,
        limit: int | None = None,
    ) -> TokenList:
        """GET the eMSP's tokens, page after page until there is no next link; the tokens are stored."""
        parameters = {"date_from": date_from, "date_to": date_to, "offset": offset, "limit": limit}
        query = {name: str(value) for name, value in parameters.items() if value is not None}
        exchange = await self.call("GET", "tokens", query=query)
        exchanges, seen = [exchange], {exchange.url}
        while (url := self._next(exchange)) is not None and url not in seen:
            exchange = await self.call("GET", url)
            exchanges.append(exchange)
            seen |= {url, exchange.url}
        listed = [token for page in exchanges if isinstance(page.data, list) for token in page.data]
        tokens = [token for token in listed if isinstance(token, dict)]
        for token in tokens:
            self.token_store.put_fetched(token)
        return TokenList(exchanges, tokens)

    async def authorize(
        self, token_uid: str, token_type: str | None = None, location_references: Document | None = None
    ) -> Exchange:
        """Request real-time authorization of a token, at a location if LocationReferences are given."""
        nowhere = None if self.null_authorize_body else ABSENT
        return await self.call(
            "POST",
            "tokens",
            f"{path_of(token_uid.lower() if self.lower_case_uids else token_uid)}/authorize",
            query=None if token_type is None else {"type": token_type},
            body=nowhere if location_references is None else location_references,
        )

    # Helpers

    async def _push(self, module: str, document_or_id: Document | str, *parent_ids: str) -> Exchange:
        document = self._own(module, document_or_id, *parent_ids)
        own_id = document["uid" if len(parent_ids) == 1 else "id"]
        return await self.call("PUT", module, self.owned_path(*parent_ids, own_id), body=document)

    async def _patch(self, module: str, changes: Document, *ids: str) -> Exchange:
        changes = self._dated(changes)
        self.catalogue.change(module, changes, *ids)
        body = decode(answer(self.now, changes).body) if self.wrapped_patches else changes
        if self.repeated_patches:
            await self.call("PATCH", module, self.owned_path(*ids), body=body)
        return await self.call("PATCH", module, self.owned_path(*ids), body=body)

    def _dated(self, changes: Document) -> Document:
        """Return the changes of a PATCH, with this CPO's current time."""
        if not self.undated_patches:
            return changes
        self._patches += 1
        if self._patches % 2:
            return {name: value for name, value in changes.items() if name != "last_updated"}
        return {**changes, "last_updated": timestamp(self.now - timedelta(seconds=2))}

    def _own(self, module: str, document_or_id: Document | str, *parent_ids: str) -> Document:
        """Return the document of an id, or the passed document, which is owned from now on."""
        if isinstance(document_or_id, str):
            return self.known(module, *parent_ids, document_or_id)
        self.catalogue.put(module, document_or_id, *parent_ids)
        return document_or_id

    def known(self, module: str, *ids: str) -> Document:
        """Return a document that this CPO owns. Raises `UnknownObjectError`."""
        document = self.catalogue.find(module, *ids)
        if document is None:
            raise UnknownObjectError(f"{module} has no '{'/'.join(ids)}'")
        return document

    def _next(self, exchange: Exchange) -> str | None:
        """Return the URL of the `Link` with rel="next", absolute."""
        links = http.Response(200, headers=exchange.headers).links
        return self.outgoing.resolve(exchange.url, links["next"]["url"]) if "next" in links else None
