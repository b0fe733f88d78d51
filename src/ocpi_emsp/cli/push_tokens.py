"""``ocpi-emsp push-tokens``: pushes our tokens to the CPOs, changed ones and those that failed before.

Rules of this module: one party that fails does not stop the others; the exit status is the worst of all parties; what
was pushed before Ctrl-C or a kill is not pushed again.
"""

from __future__ import annotations

from typing import Any

from attrs import asdict

from ocpi_emsp.cli import output
from ocpi_emsp.cli.errors import CommandFailed, Outside
from ocpi_emsp.cli.next_steps import next_step
from ocpi_emsp.cli.options import Arguments
from ocpi_emsp.cli.stores import emsp_of, registered
from ocpi_emsp.emsp import Emsp
from ocpi_emsp.errors import NotRegistered, UnsafeUrl
from ocpi_emsp.findings import counted
from ocpi_emsp.party_id import PartyId
from ocpi_emsp.resources import TokensPushed

_NAMED = 10
"""Failures of a party that are printed one by one; ``--json`` has more."""


def run(arguments: Arguments) -> int:
    """Push to each party; return 1 if a token failed, 3 if a party was unreachable or no longer accepts our token."""
    parties = list(dict.fromkeys(arguments.parties)) or registered(arguments)
    status, reports = 0, list[dict[str, Any]]()
    with emsp_of(arguments) as emsp:
        for party in parties:
            report = _push(emsp, party, arguments)
            status = max(status, CommandFailed.status if report is None else status_of(report))
            if report is None:
                continue
            if arguments.json:
                reports.append(asdict(report))
            else:
                print_report(report)
    if arguments.json:
        output.write_json({"parties": reports}, indent=None)
    elif not parties:
        output.say("no party is registered")
    return status


def _push(emsp: Emsp, party: PartyId, arguments: Arguments) -> TokensPushed | None:
    """Return the report; None if nothing could be tried, and a message says why."""
    try:
        return emsp.partner(party).push_tokens(verify=arguments.verify, full=arguments.full)
    except (NotRegistered, UnsafeUrl) as error:
        output.say(f"{'-'.join(party)}: {error.message}")
        if step := next_step(error):
            output.say(f"{'-'.join(party)}: {step}")
        return None


def status_of(report: TokensPushed) -> int:
    """Return the exit status of a push: 3 if the party was unreachable or no longer accepts our token, 1 if a token
    failed.
    """
    if report.ended == "failed":
        return Outside.status
    return CommandFailed.status if report.failed else 0


def print_report(report: TokensPushed) -> None:
    """Print a line of counts, and a message for each of the first failed tokens."""
    party = f"{report.country_code}-{report.party_id}"
    counts = ", ".join(f"{getattr(report, name)} {name}" for name in ("put", "patched", "unchanged", "failed"))
    verified = f", {report.verified} verified" if report.verified else ""
    ended = "" if report.ended == "done" else f"; {report.ended}"
    why = f": {report.why}" if report.why else ""
    output.write_line(f"{party}  {counts}{verified}{ended}{why}")
    for failure in report.failures[:_NAMED]:
        output.say(f"{party}: token '{failure.uid}' ({failure.type}): {failure.error}")
    if report.failed > _NAMED:
        output.say(f"{party}: {counted(report.failed - _NAMED, 'more token')} failed")
