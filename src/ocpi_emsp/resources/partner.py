"""The methods for one partner: its data, its profile, and the credentials exchanged with it."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from datetime import datetime, timedelta
from decimal import Decimal
from typing import Any

from ocpi_emsp.check import Policy
from ocpi_emsp.flows.cdrs.audit import GivenReadings
from ocpi_emsp.flows.cdrs.audit_pages import audit_pages
from ocpi_emsp.flows.cdrs.fit_readings import ReadingsSuggestion, fit_readings
from ocpi_emsp.flows.cdrs.reconcile import COMPLETED_FOR, COST_TOLERANCE, KWH_TOLERANCE, LIMIT, reconcile
from ocpi_emsp.flows.cdrs.reconcile_report import Reconciliation
from ocpi_emsp.flows.credentials import renew as lifecycle
from ocpi_emsp.flows.parties import profile as party_profile
from ocpi_emsp.flows.parties.party import Party, Profile
from ocpi_emsp.flows.partner_health import doctor, profile_suggestions
from ocpi_emsp.flows.partner_health.diagnosis import Diagnosis
from ocpi_emsp.flows.partner_health.profile_suggestions import Suggestion
from ocpi_emsp.flows.partner_health.report import partner_report
from ocpi_emsp.flows.sync.report import SyncReport
from ocpi_emsp.flows.sync.run import MODULES, Stop, Watch, sync
from ocpi_emsp.flows.tokens.push.fan_out import fan_out_to
from ocpi_emsp.flows.tokens.push.party_run import push_tokens_to
from ocpi_emsp.flows.tokens.push.report import TokensPushed
from ocpi_emsp.party_id import PartyId, PartyLike
from ocpi_emsp.report import PartnerReport
from ocpi_emsp.resources.audit_report import AsyncAuditReport, AuditReport
from ocpi_emsp.resources.client import AsyncClient, Client
from ocpi_emsp.resources.contexts import Contexts, Resource
from ocpi_emsp.resources.modes import awaited, blocking, given_as
from ocpi_emsp.resources.tokens import pushing
from ocpi_emsp.support import SupportMatrix

WORST = 100
"""Audits that a report lists; a person reads no more."""


class _OnePartner(Resource):
    def __init__(self, contexts: Contexts, party: PartyLike) -> None:
        super().__init__(contexts)
        self.party = PartyId.of(party)


class Partner(_OnePartner):
    """One partner, which need not be registered yet; created by ``emsp.partner("NL-TNM")``.

    Each method that needs a registered partner raises NotRegistered if it is not.
    """

    def client(self) -> Client:
        """Create a client for calls to it; use it as a context manager."""
        context, close = self._contexts.connected(self.party)
        return Client(context, self.party, close, self._contexts.waiting)

    # --- data ---------------------------------------------------------------------------------------------------

    @blocking
    async def sync(
        self,
        *,
        modules: Iterable[str] = MODULES,
        since: datetime | None = None,
        full: bool = False,
        watch: Watch | None = None,
        stop: Stop | None = None,
    ) -> SyncReport:
        """Pull what changed at the CPO since the last sync, and push our tokens to it (:meth:`push_tokens`).

        ``since`` sets another start. ``full`` lists everything, and marks what the CPO no longer lists. ``watch`` is
        called after every page, and ``stop`` as well: if it returns true, the sync ends after the current page. Both
        are plain functions that do not block. A sync that ended early, or was killed, is continued by the next. The
        CPO's faults are in the report. Raises NotRegistered, StoreFailed; ValueError for an unknown module, or a
        ``since`` without a zone or in a full sync.
        """
        async with self._contexts.calling() as context:
            return await sync(context, *self.party, modules=modules, since=since, full=full, watch=watch, stop=stop)

    @blocking
    async def push_tokens(
        self, *, verify: bool = False, full: bool = False, stop: Callable[[], bool] | None = None
    ) -> TokensPushed:
        """Send it the tokens that changed since the last push, and those that failed then; invalidations first.

        ``full`` examines every token; ``verify`` requests each sent token from the party, and compares; ``stop`` is
        called between two tokens. The party's faults are in the report (mod_tokens.md 2.1). Raises NotRegistered,
        UnsafeUrl, StoreFailed.
        """
        async with self._contexts.calling(self.party) as context:
            return await push_tokens_to(context, *self.party, verify=verify, full=full, stop=stop)

    @blocking
    async def push_pending(
        self, *, at_once: bool = False, stop: Callable[[], bool] | None = None
    ) -> TokensPushed | None:
        """Push to it like ``emsp.tokens.push_pending``; return None if nothing waits, or another process pushes to it.

        Raises StoreFailed.
        """
        contexts = self._contexts
        return await fan_out_to(contexts(), pushing(contexts), *self.party, at_once=at_once, stop=stop)

    @blocking
    async def reconcile(
        self,
        *,
        date_from: datetime | None = None,
        date_to: datetime | None = None,
        completed_for: timedelta = COMPLETED_FOR,
        kwh_tolerance: Decimal = KWH_TOLERANCE,
        cost_tolerance: Decimal = COST_TOLERANCE,
        limit: int | None = LIMIT,
    ) -> Reconciliation:
        """Compare its CDRs with its sessions: missing on either side, conflicting, or different.

        Under review is what was last updated in ``[date_from, date_to)``, by default in the last 35 days; another 35
        days on either side are searched for the other half of a pair. A CDR is matched by id, otherwise by auth_id,
        EVSE and time (docs/how-to/reconcile.md). A session counts as lacking a CDR once it is COMPLETED for
        ``completed_for``. Each list holds ``limit`` items, all with None, and counts the rest. Nothing is written;
        memory grows with the period: about 1 KB for each CDR and session. Raises ValueError for an invalid period or
        tolerance, StoreFailed.
        """
        return await reconcile(
            self._contexts(),
            *self.party,
            date_from=date_from,
            date_to=date_to,
            completed_for=completed_for,
            kwh_tolerance=kwh_tolerance,
            cost_tolerance=cost_tolerance,
            limit=limit,
        )

    def audit(
        self,
        *,
        date_from: datetime | None = None,
        date_to: datetime | None = None,
        readings: GivenReadings = None,
        worst: int = WORST,
    ) -> AuditReport:
        """Audit its CDRs last updated in ``[date_from, date_to)``, by default all (docs/how-to/audit-bills.md).

        The report is lazy: it returns the audits one by one, and their sums, with the ``worst`` ones. Each audit is
        made like those of ``emsp.cdrs.audit``; nothing is written. Raises ValueError or TypeError for a moment without
        a time zone, or unknown readings; StoreFailed while it is read.
        """
        read = audit_pages(self._contexts(), self.party, date_from=date_from, date_to=date_to, readings=readings)
        return AuditReport(read, self.party, worst)

    @blocking
    async def fit_readings(
        self, *, date_from: datetime | None = None, date_to: datetime | None = None
    ) -> ReadingsSuggestion:
        """Search the readings under which most of its CDRs are right, starting from its profile; nothing is applied.

        A sample of 100 CDRs that were last updated in ``[date_from, date_to)`` is audited, 5,000 times at most: some
        seconds. Raises ValueError or TypeError for a moment without a time zone; StoreFailed.
        """
        return await fit_readings(self._contexts(), self.party, date_from=date_from, date_to=date_to)

    @blocking
    async def report(self) -> PartnerReport:
        """Report its deviations, rule by rule: those of its stored objects, and of its rejected requests."""
        return await partner_report(self._contexts(), *self.party)

    # --- profile ----------------------------------------------------------------------------------------------------

    @blocking
    async def profile(self) -> Profile:
        """Get its profile (docs/reference/profiles.md). Raises NotRegistered."""
        return await party_profile.get_profile(self._contexts(), *self.party)

    @blocking
    async def set_profile(self, /, **changes: Any) -> Profile:
        """Change fields of its profile, by name; None resets a field to its default. Returns the changed profile.

        Raises NotRegistered; ValueError that names the field, for an unknown one or an invalid value.
        """
        return await party_profile.set_profile(self._contexts(), *self.party, changes)

    @blocking
    async def suggestions(self) -> list[Suggestion]:
        """Suggest values for its profile, based on its observed behaviour; nothing is applied. Raises NotRegistered."""
        return await profile_suggestions.suggestions(self._contexts(), *self.party)

    @blocking
    async def set_policy(self, policy: Policy | None) -> None:
        """Set which of its payloads are rejected; None means the eMSP's own policy.

        Raises NotRegistered, ValueError for an unknown rule.
        """
        await party_profile.set_policy(self._contexts(), *self.party, policy)

    @blocking
    async def set_matrix(self, matrix: SupportMatrix | None) -> None:
        """Set which rows are served to it and called at it; None means the eMSP's own matrix. Raises NotRegistered."""
        await party_profile.set_matrix(self._contexts(), *self.party, matrix)

    @blocking
    async def diagnose(self) -> Diagnosis:
        """Check it with its token and its matrix, read-only (GET): what works, and what does not.

        Raises NotRegistered; the partner's faults are in the diagnosis.
        """
        async with self._contexts.calling() as context:
            return await doctor.examine_party(context, *self.party)

    # --- registration -----------------------------------------------------------------------------------------------

    @blocking
    async def update(self, *, versions_url: str | None = None) -> Party:
        """Read its versions and endpoints again, and PUT our credentials with a fresh token to its current endpoint.

        For a partner with a new versions URL, or with other endpoints at its old one. Our old token works until the new
        one is first used, or the grace time ends. Raises NotRegistered, NotSupported, PartnerError, CannotUseApi,
        UnsupportedVersion, MissingEndpoints: the registration stays as it was.
        """
        self._contexts.require_free_loop("update")
        async with self._contexts.calling(self.party) as context:
            return await lifecycle.update(context, *self.party, versions_url)

    @blocking
    async def rotate(self) -> Party:
        """Exchange fresh tokens with it, in both directions, by PUT (PATCH if the matrix only has that).

        Raises NotRegistered, NotSupported, PartnerError: the old tokens stay valid.
        """
        self._contexts.require_free_loop("rotate")
        async with self._contexts.calling(self.party) as context:
            return await lifecycle.rotate(context, *self.party)

    @blocking
    async def unregister(self, *, tell: bool = True) -> None:
        """DELETE our credentials at it and delete it here; the objects that it sent stay.

        With ``tell=False`` it is only deleted here: for a partner that no longer exists, to withdraw an invitation, or
        if the matrix switches DELETE off. Raises NotRegistered, NotSupported, PartnerError: then the party stays as it
        was.
        """
        async with self._contexts.calling(self.party) as context:
            await lifecycle.unregister_party(context, *self.party, tell=tell)


class AsyncPartner(_OnePartner):
    """:class:`Partner`, awaited; created by ``emsp.aio.partner("NL-TNM")``."""

    def client(self) -> AsyncClient:
        """Create a client for calls to it; use it as an async context manager."""
        context, close = self._contexts.connected(self.party)
        return AsyncClient(context, self.party, close, self._contexts.waiting)

    sync = awaited(Partner.sync)
    push_tokens = awaited(Partner.push_tokens)
    push_pending = awaited(Partner.push_pending)
    reconcile = awaited(Partner.reconcile)
    audit = given_as(AsyncAuditReport, Partner.audit)
    fit_readings = awaited(Partner.fit_readings)
    report = awaited(Partner.report)
    profile = awaited(Partner.profile)
    set_profile = awaited(Partner.set_profile)
    suggestions = awaited(Partner.suggestions)
    set_policy = awaited(Partner.set_policy)
    set_matrix = awaited(Partner.set_matrix)
    diagnose = awaited(Partner.diagnose)
    update = awaited(Partner.update)
    rotate = awaited(Partner.rotate)
    unregister = awaited(Partner.unregister)
