"""What the simulated CPO can do at the eMSP, by name.

Rules obeyed (OCPI 2.1.1): a client-owned object is at {endpoint}/{country_code}/{party_id}/{id}
(transport_and_format.md, "Client owned object push"); a CDR is POSTed to the endpoint and read at the URL that the
answer's Location names (mod_cdrs.md 2.2); an EVSE and a connector follow their location in the URL
(mod_locations.md 2.2); authorization is POST {token_uid}/authorize?type= (mod_tokens.md 2.2.2).

A document that is named by its id is the one this CPO owns; one that is given becomes it, before it is sent. So what
was pushed is also what a later GET of the list returns. To send what the CPO shall not own, use `call`.
"""

from abc import ABC, abstractmethod
from collections.abc import Mapping

import httpx
from attrs import frozen

from ocpi_emsp.testing.cpo.catalogue import Catalogue
from ocpi_emsp.testing.cpo.outgoing import Exchange, path_of
from ocpi_emsp.testing.cpo.settings import Settings
from ocpi_emsp.testing.cpo.wire import ABSENT, Absent, Document, Json


class UnknownObjectError(Exception):
    """This CPO owns no object of that id."""


@frozen
class TokenList:
    """The pages of the eMSP's token list and the Token objects on them."""

    exchanges: list[Exchange]
    tokens: list[Document]


class EmspCalls(Settings, ABC):
    """Named calls over `call`; every one returns the exchange, whatever the eMSP answered."""

    catalogue: Catalogue

    @abstractmethod
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
        """Sends one request to a module of the eMSP."""

    @abstractmethod
    def store_tokens(self, tokens: list[Document]) -> None:
        """Keeps the eMSP's Token objects."""

    @abstractmethod
    def resolve(self, module: str, reference: str) -> str:
        """The absolute URL of a link that the eMSP returned."""

    def owned_path(self, *ids: str) -> str:
        """`{country_code}/{party_id}/{id}...` of an object that this CPO owns."""
        return path_of(self.country_code, self.party_id, *ids)

    # Locations

    async def push_location(self, location: Document | str) -> Exchange:
        """PUT of a location, given or named by its id."""
        return await self._push("locations", location)

    async def patch_location(self, location_id: str, changes: Document) -> Exchange:
        """PATCH of a location."""
        self.catalogue.change_location(location_id, changes)
        return await self.call("PATCH", "locations", self.owned_path(location_id), body=changes)

    async def push_evse(self, location_id: str, evse: Document | str) -> Exchange:
        """PUT of an EVSE, given or named by its uid."""
        if isinstance(evse, str):
            document = self._find(location_id, evse, None)
        else:
            document = evse
            self.catalogue.put_evse(location_id, document)
        return await self.call("PUT", "locations", self.owned_path(location_id, document["uid"]), body=document)

    async def patch_evse(self, location_id: str, evse_uid: str, changes: Document) -> Exchange:
        """PATCH of an EVSE, such as its status."""
        self.catalogue.change_evse(location_id, evse_uid, changes)
        return await self.call("PATCH", "locations", self.owned_path(location_id, evse_uid), body=changes)

    async def push_connector(self, location_id: str, evse_uid: str, connector: Document | str) -> Exchange:
        """PUT of a connector, given or named by its id."""
        if isinstance(connector, str):
            document = self._find(location_id, evse_uid, connector)
        else:
            document = connector
            self.catalogue.put_connector(location_id, evse_uid, document)
        path = self.owned_path(location_id, evse_uid, document["id"])
        return await self.call("PUT", "locations", path, body=document)

    async def patch_connector(self, location_id: str, evse_uid: str, connector_id: str, changes: Document) -> Exchange:
        """PATCH of a connector."""
        self.catalogue.change_connector(location_id, evse_uid, connector_id, changes)
        path = self.owned_path(location_id, evse_uid, connector_id)
        return await self.call("PATCH", "locations", path, body=changes)

    async def get_location(self, *ids: str) -> Exchange:
        """GET of a location, EVSE or connector (its ids in the order of the URL) as the eMSP stores it."""
        return await self.call("GET", "locations", self.owned_path(*ids))

    # Sessions

    async def push_session(self, session: Document | str) -> Exchange:
        """PUT of a session, given or named by its id."""
        return await self._push("sessions", session)

    async def patch_session(self, session_id: str, changes: Document) -> Exchange:
        """PATCH of a session."""
        return await self._patch("sessions", session_id, changes)

    async def get_session(self, session_id: str) -> Exchange:
        """GET of a session as the eMSP stores it."""
        return await self.call("GET", "sessions", self.owned_path(session_id))

    # Tariffs

    async def push_tariff(self, tariff: Document | str) -> Exchange:
        """PUT of a tariff, given or named by its id."""
        return await self._push("tariffs", tariff)

    async def patch_tariff(self, tariff_id: str, changes: Document) -> Exchange:
        """PATCH of a tariff."""
        return await self._patch("tariffs", tariff_id, changes)

    async def delete_tariff(self, tariff_id: str) -> Exchange:
        """DELETE of a tariff, which this CPO no longer lists either."""
        self.catalogue.tariffs.remove(tariff_id)
        return await self.call("DELETE", "tariffs", self.owned_path(tariff_id))

    async def get_tariff(self, tariff_id: str) -> Exchange:
        """GET of a tariff as the eMSP stores it."""
        return await self.call("GET", "tariffs", self.owned_path(tariff_id))

    # CDRs

    async def post_cdr(self, cdr: Document | str) -> Exchange:
        """POST of a CDR, given or named by its id; the answer's Location header is its URL."""
        return await self.call("POST", "cdrs", body=self._own("cdrs", cdr))

    async def get_cdr(self, location: str) -> Exchange:
        """GET of a CDR at the URL, absolute or relative, that `post_cdr` was answered with."""
        return await self.call("GET", self.resolve("cdrs", location))

    # Tokens

    async def get_tokens(
        self,
        *,
        date_from: str | None = None,
        date_to: str | None = None,
        offset: int | None = None,
        limit: int | None = None,
    ) -> TokenList:
        """GET of the eMSP's tokens, page after page until there is no next link; the tokens are stored."""
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
        self.store_tokens(tokens)
        return TokenList(exchanges, tokens)

    async def authorize(
        self, token_uid: str, token_type: str | None = None, location_references: Document | None = None
    ) -> Exchange:
        """Real-time authorization of a token, at a location if LocationReferences are given."""
        return await self.call(
            "POST",
            "tokens",
            f"{path_of(token_uid)}/authorize",
            query=None if token_type is None else {"type": token_type},
            body=ABSENT if location_references is None else location_references,
        )

    # Helpers

    async def _push(self, module: str, document_or_id: Document | str) -> Exchange:
        document = self._own(module, document_or_id)
        return await self.call("PUT", module, self.owned_path(document["id"]), body=document)

    async def _patch(self, module: str, object_id: str, changes: Document) -> Exchange:
        self.catalogue.change(module, object_id, changes)
        return await self.call("PATCH", module, self.owned_path(object_id), body=changes)

    def _own(self, module: str, document_or_id: Document | str) -> Document:
        """The document of an id, or the given document, which is owned from now on."""
        collection = self.catalogue.collection(module)
        if not isinstance(document_or_id, str):
            collection.put(document_or_id["id"], document_or_id)
            return document_or_id
        document = collection.get(document_or_id)
        if document is None:
            raise UnknownObjectError(f"{module} has no {document_or_id!r}")
        return document

    def _find(self, location_id: str, evse_uid: str, connector_id: str | None) -> Document:
        document = self.catalogue.find(location_id, evse_uid, connector_id)
        if document is None:
            raise UnknownObjectError(f"locations has no {(location_id, evse_uid, connector_id)!r}")
        return document

    def _next(self, exchange: Exchange) -> str | None:
        """The URL of the `Link` with rel="next", absolute."""
        links = httpx.Response(200, headers=exchange.headers).links
        return self.resolve(exchange.url, links["next"]["url"]) if "next" in links else None
