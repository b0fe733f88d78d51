"""CDRs that we pull from a CPO that overcharges, and our audits of them (docs/how-to/audit-bills.md).

Rules of this module:
- they are the first three of the preset ``overcharging``, in its order: right, 3.00 too much, and one with a price
  change within its only period;
- an audit is as expected if its verdict and difference are those that were calculated by hand.
"""

from __future__ import annotations

from ocpi_emsp.cli.demo.audited import EXPECTED, Audited, not_reached, sentence
from ocpi_emsp.cli.demo.stage import Stage
from ocpi_emsp.errors import OcpiError
from ocpi_emsp.party_id import PartyId


async def pull_and_audit(stage: Stage) -> tuple[Audited, ...]:
    """Let a CPO overcharge, pull its CDRs, and audit the first three."""
    party = PartyId(stage.abc.country_code, stage.abc.party_id)
    try:
        await stage.abc.control("misbehave", {"preset": "overcharging"})
        await stage.emsp.aio.partner(party).sync(modules=["cdrs"])
        audits = [await stage.emsp.aio.cdrs.audit(party, cdr) for cdr, *_ in EXPECTED]
        await stage.abc.control("behave", {})
    except OcpiError as error:
        return not_reached(error.message)
    return tuple(
        Audited(
            cdr=cdr,
            audit=audit,
            what_happened=sentence(audit),
            ok=audit.verdict is verdict and audit.difference == difference,
        )
        for audit, (cdr, verdict, difference) in zip(audits, EXPECTED, strict=True)
    )
