"""The audits of a partner's CDRs: made one by one when they are read, and added up."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator, Mapping

from ocpi_emsp._bridge import iterate
from ocpi_emsp._pieces import driven_items
from ocpi_emsp.flows.cdrs.audit_pages import AuditPage
from ocpi_emsp.party_id import PartyId
from ocpi_emsp.pricing import Audit, Verdict
from ocpi_emsp.report.audits import AuditTally, CurrencySums, FailedAudit
from ocpi_emsp.scalars import given


class AuditedCdrs:
    """Shared by both modes of an :class:`AuditReport`: audits that are made once, and added up as they are returned."""

    def __init__(self, read: AuditPage, party: PartyId, worst: int) -> None:
        """``read`` returns a page of audits after a place. Raises ValueError for a negative ``worst``."""
        number: object = worst
        if isinstance(number, bool) or not isinstance(number, int) or number < 0:
            raise ValueError(f"invalid worst '{given(worst)}': expected a whole number of 0 or more, for example 100")
        self.party = party
        self._read = read
        self._after = 0
        self._is_complete = False
        self._tally = AuditTally(limit=worst, only=(Verdict.WRONG, Verdict.UNDECIDABLE))

    async def source(self) -> AsyncIterator[Audit]:
        """Yield the remaining audits."""
        while not self._is_complete:
            page = await self._read(self._after)
            self._is_complete = not page
            for each in page:
                self._after = each.sequence
                if each.audit is None:
                    self._tally.add_failure(f"{self.party} {each.cdr_id}", each.problem)
                else:
                    self._tally.add(each.audit, str(self.party))
                    yield each.audit

    def _whole(self) -> AuditTally:
        """Return the sums of all audits."""
        if not self._is_complete:
            raise RuntimeError("the audits are not complete: await report.summary() first, or iterate to the end")
        return self._tally

    # --- sums -------------------------------------------------------------------------------------------------------

    @property
    def counts(self) -> Mapping[Verdict, int]:
        """The number of CDRs that are RIGHT, WRONG, UNDECIDABLE."""
        counts = self._whole().counts
        return {verdict: counts[verdict] for verdict in Verdict}

    @property
    def total(self) -> int:
        """The number of audited CDRs."""
        return self._whole().total

    @property
    def sums(self) -> Mapping[str, CurrencySums]:
        """The claimed and expected amounts and their difference, by currency; the currency with the most CDRs comes
        first.
        """
        return {each.currency: each for each in self._whole().currencies}

    @property
    def worst(self) -> list[Audit]:
        """The worst audits first, as many as requested: WRONG ones by their difference, then UNDECIDABLE ones by their
        claimed amount. Each has its first 100 lines.
        """
        return [each.audit for each in self._whole().worst]

    @property
    def failed(self) -> int:
        """The number of unreadable CDRs, which were not audited."""
        return self._whole().failed

    @property
    def failures(self) -> list[FailedAudit]:
        """The first 100 unreadable CDRs, with the reason."""
        return self._whole().listed_failures

    @property
    def all_right(self) -> bool:
        """True if every CDR was audited and is RIGHT."""
        return self._whole().all_right


class AuditReport(AuditedCdrs):
    """The audits of a partner's CDRs, lazily: iterate over them, or read their sums.

    The sums (``counts``, ``sums``, ``worst``) read the remaining audits. Memory is constant: of a million CDRs it holds
    the sums and the worst ones.
    """

    def __iter__(self) -> Iterator[Audit]:
        return iterate(self.source())

    def summary(self) -> AuditTally:
        """Read the remaining audits and return the sums of all; ``ocpi_emsp.report`` prints them."""
        for _ in self:
            pass
        return self._tally

    def _whole(self) -> AuditTally:
        return self.summary()


class AsyncAuditReport(AuditedCdrs):
    """:class:`AuditReport`, awaited: ``await report.summary()`` comes before ``counts``, ``sums`` and ``worst``."""

    def __init__(self, report: AuditReport) -> None:
        super().__init__(report._read, report.party, report._tally.limit)  # the same report

    def __aiter__(self) -> AsyncIterator[Audit]:
        return driven_items(self.source())

    async def summary(self) -> AuditTally:
        """See :meth:`AuditReport.summary`."""
        async for _ in self:
            pass
        return self._tally
