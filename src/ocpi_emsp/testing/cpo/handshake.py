"""The credentials endpoint and the registration handshake, in both directions.

Rules obeyed (OCPI 2.1.1, credentials.md):

- POST is answered with 405 if the client is registered, PUT and DELETE if it is not (1.2 to 1.4);
- the receiver of POST or PUT fetches the sender's versions and version details with the token it was given, before it
  answers with a new token (1.2, 1.3); 3001 if it cannot, 3002 without a common version, 3003 if endpoints
  are missing (3.5, 3.6, status_codes.md);
- the sender of a POST that misses an endpoint does not send it (3.6);
- after the registration TOKEN_A is invalid (3.1).
"""

from collections.abc import Mapping, Sequence

from ocpi_emsp.testing.cpo.fields import CREDENTIALS, absent, check, problems
from ocpi_emsp.testing.cpo.outgoing import Exchange, NotRegisteredError, Outgoing
from ocpi_emsp.testing.cpo.registration import Registration, new_token
from ocpi_emsp.testing.cpo.settings import MODULES, VERSION, Settings
from ocpi_emsp.testing.cpo.wire import Answer, Document, Handler, Json, Request, RequestError, answer, merge
from ocpi_emsp.transports.library import http_errors


class HandshakeError(Exception):
    """A handshake that could not be completed; `status_code` is 3001, 3002 or 3003."""

    def __init__(self, status_code: int, message: str, exchanges: Sequence[Exchange] = ()) -> None:
        super().__init__(message)
        self.status_code = status_code
        self.exchanges = list(exchanges)


class Handshake:
    """Registers, updates and unregisters, as receiver and as initiator."""

    def __init__(self, settings: Settings, registration: Registration, outgoing: Outgoing) -> None:
        self._settings = settings
        self._registration = registration
        self._outgoing = outgoing

    def credentials(self, token: str) -> Document:
        """Return this CPO's credentials object, with the token that the eMSP is to present."""
        return {
            "token": f"{token}\n" if self._settings.token_line_break else token,
            "url": self._settings.versions_url,
            "business_details": {"name": self._settings.name},
            "party_id": self._settings.party_id,
            "country_code": self._settings.country_code,
        }

    # As receiver

    def methods(self) -> Mapping[str, Handler]:
        """Return the methods of the credentials endpoint."""
        methods = {"GET": self._get, "POST": self._post, "PUT": self._put, "DELETE": self._delete}
        return methods | ({"PATCH": self._patch} if self._settings.accept_credentials_patch else {})

    async def _get(self, request: Request) -> Answer:
        return answer(self._settings.now, self.credentials(request.state.token))

    async def _post(self, request: Request) -> Answer:
        if self._registration.registered:
            raise self._not_allowed("The client is already registered")
        return await self._accept(await request.document(), status=201)

    async def _put(self, request: Request) -> Answer:
        self._require_registered_client()
        return await self._accept(await request.document(), status=200)

    async def _patch(self, request: Request) -> Answer:
        known = self._require_registered_client()
        changes = await request.document()
        if not isinstance(changes, dict):
            raise RequestError(200, 2001, "The body is not an object")
        return await self._accept(merge(known, changes), status=200)

    async def _delete(self, _: Request) -> Answer:
        self._require_registered_client()
        self._registration.forget()
        return answer(self._settings.now)

    def _require_registered_client(self) -> Document:
        if self._registration.emsp is None:
            raise self._not_allowed("The client is not registered")
        return self._registration.emsp

    def _not_allowed(self, message: str) -> RequestError:
        patch = ", PATCH" if self._settings.accept_credentials_patch else ""
        allowed = f"GET, PUT{patch}, DELETE" if self._registration.registered else "GET, POST"
        return RequestError(405, 2000, message, {"allow": allowed})

    async def _accept(self, body: Json, status: int) -> Answer:
        """Accept the eMSP's credentials: fetch its endpoints and answer with a new token."""
        emsp = check(body, CREDENTIALS)
        try:
            endpoints = await self._discover(emsp["url"], emsp["token"], [])
        except HandshakeError as error:
            return answer(self._settings.now, status_code=error.status_code, message=str(error))
        token = new_token()
        self._registration.complete(server_token=token, client_token=emsp["token"], emsp=emsp, endpoints=endpoints)
        return answer(self._settings.now, self.credentials(token), status=status)

    # As initiator

    async def register(self, versions_url: str, token_a: str) -> list[Exchange]:
        """Register at an eMSP; see `SimulatedCpo.register`."""
        exchanges: list[Exchange] = []
        endpoints = await self._discover(versions_url, token_a, exchanges)
        await self._offer("POST", endpoints, token_a, exchanges, ())
        return exchanges

    async def update(self, method: str, fields: Sequence[str]) -> list[Exchange]:
        """Send updated credentials with a new token; see `SimulatedCpo.update_credentials`."""
        token, emsp = self._outgoing.token(), self._registration.emsp
        if emsp is None:
            raise NotRegisteredError("There is no registration with an eMSP")
        exchanges: list[Exchange] = []
        if self._settings.renews_by_delete:
            exchanges.append(await self.unregister())
            if not exchanges[0].ok:
                return exchanges
            method, fields = "POST", ()
        endpoints = await self._discover(emsp["url"], token, exchanges)
        await self._offer(method, endpoints, token, exchanges, fields)
        return exchanges

    async def unregister(self) -> Exchange:
        """End the registration with DELETE credentials; see `SimulatedCpo.unregister`."""
        exchange = await self._outgoing.send("DELETE", self._outgoing.url("credentials"))
        if exchange.ok:
            self._registration.forget()
        return exchange

    async def _offer(
        self,
        method: str,
        endpoints: dict[str, str],
        token: str,
        exchanges: list[Exchange],
        fields: Sequence[str],
    ) -> None:
        """Send this CPO's credentials with a new token, which works while the eMSP answers and from then on."""
        offered = self._registration.offered_token = new_token()
        body = self.credentials(offered)
        if fields:
            body = {name: body[name] for name in fields}
        try:
            exchange = await self._outgoing.send(method, endpoints["credentials"], token=token, body=body)
        finally:
            self._registration.offered_token = None
        exchanges.append(exchange)
        if not exchange.ok:
            return
        wrong = problems(exchange.data, CREDENTIALS)
        if self._settings.requires_members:
            wrong += [f"Field required: {'.'.join(path)}" for path in absent(exchange.data, CREDENTIALS)]
        if wrong:
            raise HandshakeError(3001, f"The answer holds no credentials: {'; '.join(wrong)}", exchanges)
        server_token = self._registration.server_token if fields and "token" not in fields else offered
        self._registration.complete(
            server_token=server_token or offered,
            client_token=exchange.data["token"],
            emsp=exchange.data,
            endpoints=endpoints,
        )

    # Both

    async def _discover(self, versions_url: str, token: str, exchanges: list[Exchange]) -> dict[str, str]:
        """Return the other party's endpoints for 2.1.1, by ModuleID. Raises `HandshakeError`."""
        versions = await self._fetch(versions_url, token, exchanges)
        url = _version_url(versions)
        if url is None:
            raise HandshakeError(3002, f"The party does not offer OCPI {VERSION}", exchanges)
        details = await self._fetch(url, token, exchanges)
        endpoints = _endpoints(details)
        missing = sorted({"credentials", *self._settings.required_endpoints} - set(endpoints))
        if missing:
            raise HandshakeError(3003, f"Endpoints are missing: {', '.join(missing)}", exchanges)
        if not set(endpoints) & (set(MODULES) - {"credentials"}):
            raise HandshakeError(3003, "There is no module in common", exchanges)
        return endpoints

    async def _fetch(self, url: str, token: str, exchanges: list[Exchange]) -> Json:
        try:
            exchange = await self._outgoing.send("GET", url, token=token)
        except http_errors() as error:
            why = str(error) or "no answer in time"
            raise HandshakeError(3001, f"GET {url} failed: {why}", exchanges) from error
        exchanges.append(exchange)
        if not exchange.ok or exchange.data is None:
            answered = f"HTTP {exchange.status}, status_code {exchange.status_code}"
            raise HandshakeError(3001, f"GET {url} was answered with {answered}", exchanges)
        return exchange.data


def _objects(value: Json) -> list[Document]:
    return [each for each in value if isinstance(each, dict)] if isinstance(value, list) else []


def _version_url(versions: Json) -> str | None:
    """Return the URL of the details of 2.1.1 in a list of Version objects."""
    for version in _objects(versions):
        url = version.get("url")
        if version.get("version") == VERSION and isinstance(url, str):
            return url
    return None


def _endpoints(details: Json) -> dict[str, str]:
    """Return the URLs by ModuleID in a version details object."""
    listed = details.get("endpoints") if isinstance(details, dict) else None
    return {
        each["identifier"]: each["url"]
        for each in _objects(listed)
        if isinstance(each.get("identifier"), str) and isinstance(each.get("url"), str)
    }
