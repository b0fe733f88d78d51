"""``ocpi-emsp party``: a look at a partner, and the life of its registration.

Rules of this module:
- the doctor only reads, and needs no database for a URL; it says what a profile could say, and sets nothing;
- a renewal needs our server running on the same store: the partner reads our versions before it answers;
- no token is printed.
"""

from __future__ import annotations

import os
from argparse import ArgumentTypeError, Namespace
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from ocpi_emsp import PartyId
from ocpi_emsp.cli import output
from ocpi_emsp.cli.errors import CommandFailed, Outside, Usage
from ocpi_emsp.cli.options import party as party_of
from ocpi_emsp.cli.register import as_json, name_of
from ocpi_emsp.cli.settings import Settings, read_settings
from ocpi_emsp.cli.stores import BASE_PATH, emsp_of, opened
from ocpi_emsp.emsp import Emsp
from ocpi_emsp.flows.core.settings import Limits
from ocpi_emsp.flows.parties.party import Party
from ocpi_emsp.flows.partner_health.diagnosis import Diagnosis
from ocpi_emsp.ports import AnyStore
from ocpi_emsp.settings import HttpLimits

_SLOWEST = 3
"""How many read timeouts one whole answer may take."""
_LARGEST = 16 * 1024 * 1024
"""Bytes of an answer that the doctor reads: a page of 100 locations has far fewer."""


def run(arguments: Namespace) -> int:
    """Do what the action says; 1 where something would not work, 3 where the partner fails us."""
    return int(_ACTIONS[arguments.action](arguments))


# --- the doctor -----------------------------------------------------------------------------------------------------


def _doctor(arguments: Namespace) -> int:
    diagnosis = _examine_url(arguments) if "://" in arguments.partner else _examine_party(arguments)
    if arguments.json:
        output.write_json(diagnosis.as_json(), indent=None)
    else:
        _print(diagnosis)
    if not diagnosis.reachable:
        return Outside.status
    return 0 if diagnosis.ok else CommandFailed.status


def _examine_url(arguments: Namespace) -> Diagnosis:
    from ocpi_emsp.storage import MemoryStore

    if arguments.token is None:
        raise Usage("a versions URL is looked at with a token that the partner gave us: give it as --token")
    with _quick(arguments, _settings(arguments), MemoryStore()) as emsp:
        return emsp.parties.diagnose(arguments.partner, token=arguments.token, base64_token=arguments.base64)


def _examine_party(arguments: Namespace) -> Diagnosis:
    try:
        codes = party_of(arguments.partner)
    except ArgumentTypeError as error:
        raise Usage(f"{arguments.partner!r} is neither a versions URL nor a party such as NL-TNM") from error
    if arguments.token is not None:
        raise Usage("a registered party is looked at with the token that it gave us: leave --token out")
    with opened(arguments) as store, _quick(arguments, _settings(arguments), store) as emsp:
        return emsp.partner(PartyId(*codes)).diagnose()


def _settings(arguments: Namespace) -> Settings:
    """Who we are, where somebody says so: a look at a partner needs no more than its URLs."""
    try:
        return read_settings(arguments, os.environ)
    except Usage:
        nobody = {"OCPI_EMSP_COUNTRY_CODE": "XX", "OCPI_EMSP_PARTY_ID": "XXX", "OCPI_EMSP_NAME": "nobody"}
        return read_settings(arguments, {**nobody, **os.environ})


@contextmanager
def _quick(arguments: Namespace, settings: Settings, store: AnyStore) -> Iterator[Emsp]:
    """An eMSP that waits no longer than the arguments say."""
    seconds = arguments.timeout
    limits = Limits(
        http=HttpLimits(
            read_timeout=seconds, connect_timeout=seconds, total_timeout=seconds * _SLOWEST, response_body=_LARGEST
        )
    )
    try:
        yield Emsp(
            country_code=settings.country_code,
            party_id=settings.party_id,
            name=settings.name,
            url=settings.url or f"http://emsp.invalid{BASE_PATH}",
            url_policy=settings.url_policy,
            store=store,
            limits=limits,
        )
    except ValueError as error:
        raise Usage(str(error)) from None


def _print(diagnosis: Diagnosis) -> None:
    checks = [(check.outcome.value, check.name, check.sentence) for check in diagnosis.checks]
    output.write(output.table(("", "check", diagnosis.versions_url), checks) + "\n")
    rows = [
        (each.works.value, each.row.module, each.row.direction, each.row.methods, each.row.path, each.why)
        for each in diagnosis.expected_support
    ]
    output.write(output.table(("works", "module", "direction", "methods", "path", "why"), rows))
    for each in diagnosis.suggestions:
        output.write(output.printable(f"profile: {each.name} = {each.value!r} would fit: {each.why}") + "\n")


# --- the life of a registration -------------------------------------------------------------------------------------

_CALLED_BACK = "the party calls us back"


def _rotate(arguments: Namespace) -> int:
    with emsp_of(arguments, url_needed_for=_CALLED_BACK) as emsp:
        party = emsp.partner(PartyId(*arguments.party)).rotate()
    return _done(arguments, party, "fresh tokens exchanged with")


def _update(arguments: Namespace) -> int:
    with emsp_of(arguments, url_needed_for=_CALLED_BACK) as emsp:
        party = emsp.partner(PartyId(*arguments.party)).update(versions_url=arguments.versions_url)
    return _done(arguments, party, "updated")


def _done(arguments: Namespace, party: Party, what: str) -> int:
    if arguments.json:
        output.write_json(as_json(party), indent=None)
        return 0
    modules = ", ".join(endpoint.identifier for endpoint in party.endpoints)
    output.write(output.printable(f"{what} {party}, {name_of(party)}; its modules: {modules}") + "\n")
    return 0


def _unregister(arguments: Namespace) -> int:
    country_code, party_id = arguments.party
    with emsp_of(arguments) as emsp:
        emsp.partner(PartyId(country_code, party_id)).unregister(tell=not arguments.no_tell)
    if arguments.json:
        result: dict[str, Any] = {"country_code": country_code, "party_id": party_id, "told": not arguments.no_tell}
        output.write_json(result, indent=None)
    else:
        output.write(f"unregistered {country_code}-{party_id}\n")
    return 0


_ACTIONS = {"doctor": _doctor, "rotate": _rotate, "update": _update, "unregister": _unregister}
