"""A dry check of a partner: what works with it, and what does not.

Rules of this module:
- only GET is sent, and nothing is stored: neither side changes;
- each check has an outcome and a sentence, and a failed one does not end the others;
- the number of requests is fixed, each takes as long as ``Limits`` allow, and of a list one page is read;
- values for a profile are suggested and never applied;
- a partner's faults are in the diagnosis, never exceptions; no token is in it.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any
from urllib.parse import urlsplit

import msgspec
from attrs import define, evolve, field

from ocpi_emsp.check import examine as examine_document
from ocpi_emsp.codec import wire_time
from ocpi_emsp.errors import (
    InvalidObject,
    NotJson,
    PartnerError,
    PartnerRefused,
    RegistrationFailed,
    TransportFailed,
    UnsafeUrl,
)
from ocpi_emsp.findings import Severity, counted
from ocpi_emsp.flows.calls.call import outgoing_request
from ocpi_emsp.flows.calls.fetch_one import read
from ocpi_emsp.flows.calls.pagination import ListPage, first_url, walk
from ocpi_emsp.flows.core.context import Context
from ocpi_emsp.flows.credentials.bounds import ask
from ocpi_emsp.flows.credentials.discovery import details_url, read_versions, require_callable, require_version
from ocpi_emsp.flows.credentials.endpoints import Listed, missing_modules, read_details, select
from ocpi_emsp.flows.credentials.own_url import require_foreign
from ocpi_emsp.flows.credentials.places import Places, allowable_hosts, elsewhere
from ocpi_emsp.flows.parties.party import Party, PartyState, Profile, load_party, matrix_of
from ocpi_emsp.flows.partner_health.diagnosis import Check, CheckOutcome, Diagnosis, Works
from ocpi_emsp.flows.partner_health.expected_support import Seen, expected_support
from ocpi_emsp.flows.partner_health.profile_suggestions import Suggestion, owner_from
from ocpi_emsp.flows.sync.checkpoint import EPOCH
from ocpi_emsp.models import Cdr, Credentials, Location, Session, Tariff
from ocpi_emsp.routes import Route, outgoing
from ocpi_emsp.wire import Request, Response, http_date, read_envelope

LISTS: Mapping[str, type[Any]] = {"locations": Location, "tariffs": Tariff, "sessions": Session, "cdrs": Cdr}
"""The lists of a CPO, and their objects."""
LOOKED_AT = 100
"""Objects of a page that are checked: enough to show how the partner writes, whatever the page's size."""
SKEW = timedelta(seconds=60)
"""Largest acceptable difference of the partner's clock: a request takes seconds, and syncs overlap by minutes."""
_UNKNOWN_TOKEN = "OCPI-EMSP-DOCTOR"
"""The uid of a token that no partner has: "unknown" is a good response."""
_NAMED = 5
"""Rules that a sentence names."""
_NO_TIME = datetime(1971, 1, 1, tzinfo=UTC)
"""Earlier times stand for an envelope without one."""
_OK, _WARNING, _FAILED, _SKIPPED = CheckOutcome.OK, CheckOutcome.WARNING, CheckOutcome.FAILED, CheckOutcome.SKIPPED
_CHECKS = ("versions", "details", "endpoints", "credentials", *LISTS, "paging", "tokens")
"""The checks that need a response, in their order."""


async def examine(
    context: Context, versions_url: str, token: str, profile: Profile, *, registered: Party | None = None
) -> Diagnosis:
    """Check the partner behind a versions URL with a token that it gave us; ``registered`` is the party, if it is ours.

    With the token of an invitation most partners only open the versions and the credentials: a rejected list says
    nothing then.
    """
    party = Party(
        country_code=context.identity.country_code,
        party_id=context.identity.party_id,
        state=PartyState.REGISTERED,
        token=token,
        versions_url=versions_url,
        profile=profile,
    )
    visit = _Visit(context, party, registered)
    await visit.look()
    return Diagnosis(
        versions_url=versions_url,
        at=context.clock.now(),
        checks=tuple(visit.checks),
        expected_support=tuple(expected_support(matrix_of(profile, context.matrix), visit.seen)),
        suggestions=tuple(visit.suggested.values()),
    )


async def examine_party(context: Context, country_code: str, party_id: str) -> Diagnosis:
    """Check a registered party. Raises NotRegistered."""
    party = await load_party(context, country_code, party_id, state=PartyState.REGISTERED)
    return await examine(context, party.versions_url or "", party.token or "", party.profile, registered=party)


@define
class _LastAnswer:
    """A Send that stores the last response, for data that the flows do not pass on."""

    context: Context
    last: Response | None = None

    async def __call__(self, request: Request) -> Response:
        self.last = None
        self.last = await self.context.send(request)
        return self.last

    def header(self, name: str) -> str | None:
        """Return a header of the last response."""
        return self.last.header(name) if self.last is not None else None


@define
class _Visit:
    """One check of a partner: the results so far."""

    context: Context
    party: Party
    registered: Party | None
    checks: list[Check] = field(factory=list)
    suggested: dict[str, Suggestion] = field(factory=dict)
    seen: Seen = field(factory=Seen)
    limits: dict[str, int] = field(factory=dict)
    paging: list[str] = field(factory=list)

    def note(self, name: str, outcome: CheckOutcome, sentence: str) -> None:
        """Add a check."""
        self.checks.append(Check(name, outcome, sentence))

    def skip(self, why: str) -> None:
        """Add the checks that are no longer possible."""
        made = {check.name for check in self.checks}
        for name in _CHECKS:
            if name not in made:
                self.note(name, _SKIPPED, why)

    async def look(self) -> None:
        """Make every check, each after those that it depends on."""
        last_answer = _LastAnswer(self.context)
        self.context = evolve(self.context, send=last_answer)
        url = self.party.versions_url or ""
        if not self._may_call(url):
            self.skip("the versions URL is not called")
            return
        versions = await self._versions(url, last_answer)
        if versions is None:
            self.skip("there is no usable answer from the versions URL")
            return
        listed = await self._details(versions)
        if listed is None:
            self.skip("the endpoints cannot be read")
            return
        self._endpoints(url, listed)
        await self._credentials()
        for module, kind in LISTS.items():
            await self._list(module, kind, last_answer)
        self._paging()
        await self._tokens()

    # --- access -----------------------------------------------------------------------------------------------------

    def _may_call(self, url: str) -> bool:
        try:
            require_foreign(self.context.identity, url)
            self.context.check_url(url)
        except (RegistrationFailed, UnsafeUrl) as error:
            self.note("url", _FAILED, error.message)
            return False
        self.note("url", _OK, f"the url policy allows {url[:200]}")
        return True

    async def _versions(self, url: str, last_answer: _LastAnswer) -> msgspec.Raw | None:
        """Return the data of the versions, with the token as it is, or in base64 if that is unknown; or the reverse."""
        wanted = self.party.profile.base64_token
        failure: PartnerError | None = None
        for as_base64 in (wanted, not wanted):
            self._present(as_base64)
            try:
                data = await self._get(url)
            except UnsafeUrl as error:  # the address that its name resolves to
                self.note("reachable", _FAILED, error.message)
                return None
            except PartnerError as error:
                failure = failure or error
                if not _is_locked_out(error):
                    break
                continue
            self._answered(url, last_answer)
            self._encoding(wanted, as_base64)
            return data
        self._present(wanted)
        assert failure is not None  # a completed loop means failure
        if isinstance(failure, TransportFailed):
            self.note("reachable", _FAILED, failure.message)
            return None
        if last_answer.last is None:  # nothing was sent
            self.note("token", _FAILED, failure.message)
            return None
        self._answered(url, last_answer)
        if _is_locked_out(failure):
            self.note("token", _FAILED, f"the token is known neither raw nor in base64: {failure.message}")
        else:
            self.note("token", _SKIPPED, "unknown: no usable response")
        self.note("versions", _FAILED, failure.message)
        return None

    def _present(self, as_base64: bool) -> None:
        self.party = evolve(self.party, profile=evolve(self.party.profile, base64_token=as_base64))

    def _answered(self, url: str, last_answer: _LastAnswer) -> None:
        """Check what any response shows: reachability, TLS, the clock."""
        self.note("reachable", _OK, f"{urlsplit(url).netloc} answers")
        if urlsplit(url).scheme.lower() == "https":
            self.note("tls", _OK, "https, and the certificate is valid")
        else:
            self.note("tls", _WARNING, "plain http: anyone on the network path reads the token")
        self._clock(last_answer)

    def _clock(self, last_answer: _LastAnswer) -> None:
        now, stamps = self.context.clock.now(), dict[str, datetime]()
        date = http_date(last_answer.header("date"))
        if date is not None:
            stamps["the Date header"] = date
        try:
            stamped = read_envelope(last_answer.last.body if last_answer.last else b"").timestamp
        except (NotJson, InvalidObject):
            stamped = None
        if stamped is not None and stamped > _NO_TIME:
            stamps["the envelope's timestamp"] = stamped
        if not stamps:
            self.note("clock", _WARNING, "unknown: neither a Date header nor a timestamp")
            return
        off = {what: stamp - now for what, stamp in stamps.items()}
        said = ", ".join(f"{what} is {_apart(by)}" for what, by in off.items())
        skewed = any(abs(by) > SKEW for by in off.values())
        self.note("clock", _WARNING if skewed else _OK, f"by our clock ({wire_time(now)}), {said}")

    def _encoding(self, wanted: bool, works: bool) -> None:
        name = {True: "in base64", False: "raw"}
        if works == wanted:
            self.note("token", _OK, f"the token is known {name[works]}")
            return
        self.note("token", _WARNING, f"the token is not known {name[wanted]}, it is {name[works]}")
        self._suggest("base64_token", works, f"the partner reads the token {name[works]}")

    def _suggest(self, name: str, value: Any, why: str, evidence: int = 1) -> None:
        """Suggest a value for the profile, unless it already has that value."""
        if self.registered is not None and getattr(self.registered.profile, name) == value:
            return
        known = self.suggested.get(name)
        seen = evidence if known is None else known.evidence + evidence
        self.suggested[name] = Suggestion(name=name, value=value, why=why, evidence=seen)

    async def _get(self, url: str) -> msgspec.Raw:
        request = outgoing_request("GET", url, self.party.token or "", self.party.profile)
        return (await ask(self.context, request, module="")).data

    # --- offer ------------------------------------------------------------------------------------------------------

    async def _details(self, data: msgspec.Raw) -> list[Listed] | None:
        try:
            versions, notes = read_versions(data)
            url, more = details_url(versions)
        except (PartnerError, RegistrationFailed) as error:
            self.note("versions", _FAILED, error.message)
            return None
        offered = ", ".join(each.version.value[:20] for each in versions[:_NAMED])
        odd = "".join(f"; {note}" for note in notes + more)
        self.note("versions", _WARNING if odd else _OK, f"2.1.1 is offered (of {len(versions)}: {offered}){odd}")
        try:
            self._suggest_hosts([url])
            require_callable(self.context, self.places, url)
            details, listed = read_details(await self._get(url))
            require_version(details)
        except (PartnerError, RegistrationFailed, UnsafeUrl) as error:
            self.note("details", _FAILED, error.message)
            return None
        self.note("details", _OK, f"{counted(len(listed), 'endpoint')} at {url[:200]}")
        return listed

    @property
    def places(self) -> Places:
        """Return where its URLs may lie."""
        return Places.of(self.party.versions_url or "", self.party.profile, self.registered)

    def _suggest_hosts(self, urls: Iterable[str]) -> None:
        hosts = allowable_hosts(self.context, self.places, urls)
        if hosts:
            why = "its version details or endpoints lie on another host than its versions URL"
            self._suggest("hosts", [*self.party.profile.hosts, *hosts], why, len(hosts))

    def _endpoints(self, versions_url: str, listed: Sequence[Listed]) -> None:
        selected = select(self.context, self.party.profile, self.places, listed)
        self._suggest_hosts(each.url for each in listed)
        self.seen.modules = frozenset(each.module for each in listed)
        self.seen.unusable |= {module: fault.message for module, fault in selected.unusable.items()}
        self.party = evolve(self.party, endpoints=selected.endpoints)
        notes = [*selected.notes, *elsewhere(versions_url, selected.endpoints)]
        if self.registered is not None and set(self.registered.endpoints) != set(selected.endpoints):
            notes.append("they are not those that are stored: party update takes these")
        # A listed but unusable endpoint is named below, and is not missing.
        missing = set(missing_modules(self.context, self.party.profile, selected.endpoints)) - set(self.seen.unusable)
        bad = [f"endpoints are missing: {', '.join(sorted(missing))}"] if missing else []
        bad += [f"{module}: {why}" for module, why in self.seen.unusable.items()]
        outcome = _FAILED if bad else _WARNING if notes else _OK
        names = ", ".join(sorted(module[:40] for module in self.seen.modules))
        self.note("endpoints", outcome, "; ".join([names, *bad, *notes]))

    def _can_ask(self, name: str, route: Route) -> bool:
        """Return False if a module cannot be requested; the check is skipped with the reason."""
        endpoint = self.party.endpoint(name)
        if name in self.seen.unusable:
            self.note(name, _SKIPPED, self.seen.unusable[name])
        elif endpoint is None:
            self.note(name, _SKIPPED, f"it offers no {name} endpoint")
        elif not route.on(matrix_of(self.party.profile, self.context.matrix)):
            self.note(name, _SKIPPED, "our matrix switches it off")
        else:
            return True
        return False

    async def _credentials(self) -> None:
        if not self._can_ask("credentials", outgoing("credentials.get")):
            return
        try:
            theirs = read(Credentials, await self._get(self.party.endpoint("credentials") or ""))
        except (PartnerError, UnsafeUrl) as error:
            self._refused("credentials", error)
            return
        who = f"{theirs.country_code.upper()}-{theirs.party_id.upper()}"
        self.seen.tried["credentials"] = Works.YES, f"it says that it is {who}"
        if self.registered is not None and who != str(self.registered):
            self.note("credentials", _WARNING, f"it says that it is {who}, and is registered as {self.registered}")
            return
        self.note("credentials", _OK, f"it says that it is {who}, {theirs.business_details.name}")

    def _refused(self, name: str, error: PartnerError | UnsafeUrl) -> None:
        """Add a GET that failed; before a registration, a rejection says nothing until a list was opened."""
        opened = any(self.seen.tried.get(module, (None,))[0] is Works.YES for module in LISTS)
        is_shut = isinstance(error, PartnerRefused) and error.answered_http in (401, 403, 405)
        if is_shut and self.registered is None and not opened:
            why = "this token does not open it, and one for the registration need not"
            self.seen.tried[name] = Works.UNTRIED, why
            self.note(name, _SKIPPED, f"{why}: {error.message}")
            return
        self.seen.tried[name] = Works.NO, error.message
        self.note(name, _FAILED, error.message)

    # --- lists ------------------------------------------------------------------------------------------------------

    @property
    def _asked(self) -> int:
        """Return the objects of a page that a sync requests, by the profile."""
        return self.party.profile.page_limit or self.context.limits.sync.page_size

    async def _list(self, module: str, kind: type[Any], last_answer: _LastAnswer) -> None:
        route = outgoing(f"{module}.list")
        if not self._can_ask(module, route):
            return
        filters = {"limit": str(self._asked)}
        if module == "sessions":
            filters["date_from"] = wire_time(EPOCH)
        try:
            page, slash = await self._first_page(module, route, filters)
        except (PartnerError, UnsafeUrl) as error:
            self._refused(module, error)
            return
        self._read_headers(module, page, last_answer)
        self._judge_page(module, kind, page, slash)
        if module == "locations" and self.registered is not None:
            for each in owner_from(self.registered, [bytes(document) for document in page.documents]):
                self.suggested[each.name] = each

    async def _first_page(self, module: str, route: Route, filters: Mapping[str, str]) -> tuple[ListPage, str]:
        """Return the first page, with or without a trailing slash, and what the slash changes."""
        endpoint = self.party.endpoint(module) or ""
        wanted = self.party.profile.trailing_slash
        try:
            return await self._page(route.url(endpoint, trailing_slash=wanted), filters), ""
        except PartnerRefused as error:
            if error.answered_http not in (301, 302, 307, 308, 404):
                raise
            other = route.url(endpoint, trailing_slash=not wanted)
            if other == route.url(endpoint, trailing_slash=wanted):  # it is announced with a slash
                raise
            try:
                page = await self._page(other, filters)
            except (PartnerError, UnsafeUrl):
                raise error from None
        habit = "without a slash" if wanted else "with a slash"
        self._suggest("trailing_slash", not wanted, f"{module} answers only {habit} at the end of its URL")
        return page, f"; only {habit} at the end of its URL"

    async def _page(self, url: str, filters: Mapping[str, str]) -> ListPage:
        pages = walk(self.context, self.party, first_url(url, filters), filters)
        try:
            return await anext(pages)
        finally:
            await pages.aclose()

    def _read_headers(self, module: str, page: ListPage, last_answer: _LastAnswer) -> None:
        """Check the paging headers."""
        asked, count = self._asked, len(page.documents)
        limit = last_answer.header("x-limit") or ""
        notes = list(page.notes)
        absent = [name for name in ("X-Total-Count", "X-Limit") if last_answer.header(name.lower()) is None]
        if absent:
            notes.append(f"no {' and no '.join(absent)}")
        if count > asked:
            notes.append(f"{counted(count, 'object')} where {asked} were asked for")
        if page.total is not None and page.total > count and last_answer.header("link") is None:
            notes.append(f"no Link although {page.total} objects are more than this page's {count}")
        if limit.isascii() and limit.isdigit() and 0 < int(limit[:9]) < asked:
            self.limits[module] = int(limit[:9])
        elif page.total is not None and 0 < count < min(asked, page.total):
            self.limits[module] = count
        self.paging += [f"{module}: {note}" for note in notes]

    def _judge_page(self, module: str, kind: type[Any], page: ListPage, slash: str) -> None:
        found, unusable = Counter[tuple[str, str]](), 0
        looked_at = page.documents[:LOOKED_AT]
        for document in looked_at:
            value, report = examine_document(bytes(document), kind, now=self.context.clock.now())
            unusable += value is None or bool(report.at_least(Severity.ERROR))
            found.update((finding.rule, finding.severity.value) for finding in report)
        total = "" if page.total is None else f" of {page.total}"
        rules = [f"{count} x {rule} ({severity})" for (rule, severity), count in found.most_common(_NAMED)]
        more = f" and {len(found) - _NAMED} more rules" if len(found) > _NAMED else ""
        findings = f"; findings: {', '.join(rules)}{more}" if rules else "; no findings"
        bad = f"; {unusable} of the first {len(looked_at)} are refused" if unusable else ""
        sentence = f"{counted(len(page.documents), 'object')}{total}{bad}{findings if looked_at else ''}{slash}"
        if unusable and unusable == len(looked_at):
            self.seen.tried[module] = Works.NO, f"not one object can be used{findings}"
            self.note(module, _FAILED, sentence)
            return
        self.seen.tried[module] = Works.YES, f"{counted(len(page.documents), 'object')}{total} on the first page{bad}"
        self.note(module, _WARNING if unusable or slash else _OK, sentence)

    def _paging(self) -> None:
        read = [check for check in self.checks if check.name in LISTS and check.outcome in (_OK, _WARNING)]
        if not read:
            self.note("paging", _SKIPPED, "no list could be read")
            return
        if self.limits:
            smallest = min(self.limits.values())
            why = f"its pages hold at most {counted(smallest, 'object')}, whatever limit is requested"
            self._suggest("page_limit", smallest, why, len(self.limits))
        pages = ", ".join(f"{module} {limit}" for module, limit in self.limits.items())
        said = [f"objects on a page at most: {pages}"] if pages else [f"pages of {self._asked} are given"]
        self.note("paging", _WARNING if self.paging else _OK, "; ".join([*self.paging, *said]))

    # --- tokens -----------------------------------------------------------------------------------------------------

    async def _tokens(self) -> None:
        route = outgoing("tokens.get")
        if not self._can_ask("tokens", route):
            return
        url = route.url(
            self.party.endpoint("tokens") or "",
            trailing_slash=self.party.profile.trailing_slash,
            country_code=self.context.identity.country_code,
            party_id=self.context.identity.party_id,
            token_uid=_UNKNOWN_TOKEN,
        )
        try:
            await self._get(url)
            said = "an unknown token was answered"
        except PartnerRefused as error:
            if error.answered_code is None and error.answered_http == 404:
                why = "it has no such token, as it should be, or no such path"
                self.seen.tried["tokens"] = Works.UNTRIED, why
                self.note("tokens", _WARNING, f"{why}: {error.message}")
                return
            if error.answered_code is None or error.answered_http not in (200, 404):
                self._refused("tokens", error)
                return
            said = f"an unknown token was refused (HTTP {error.answered_http}, {error.answered_code})"
        except (PartnerError, UnsafeUrl) as error:
            self._refused("tokens", error)
            return
        self.seen.tried["tokens"] = Works.YES, said
        self.note("tokens", _OK, said)


def _is_locked_out(error: PartnerError) -> bool:
    return isinstance(error, PartnerRefused) and error.answered_http in (401, 403)


def _apart(by: timedelta) -> str:
    seconds = round(by.total_seconds())
    # Both are cut to whole seconds, so a difference of two is not significant.
    return f"{abs(seconds)} s {'ahead' if seconds > 0 else 'behind'}" if abs(seconds) > 2 else "right"
