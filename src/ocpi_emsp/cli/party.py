"""``ocpi-emsp party``: diagnosis of a partner, and the life of its registration.

Rules of this module:
- diagnose only reads, and needs no database for a URL; it suggests profile values, and sets nothing;
- a renewal needs our server running on the same store: the partner reads our versions before it answers;
- no token is printed.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import click

from ocpi_emsp import Limits
from ocpi_emsp.cli import output
from ocpi_emsp.cli.errors import CommandFailed, Outside, Usage
from ocpi_emsp.cli.given_secrets import token_of
from ocpi_emsp.cli.options import Arguments, headers_of, party as party_of, usable_headers
from ocpi_emsp.cli.register import print_party
from ocpi_emsp.cli.settings import source
from ocpi_emsp.cli.stores import ANYONE, emsp_of, emsp_of_nobody, make_emsp, opened, renewing_emsp, warn_of_readers
from ocpi_emsp.emsp import Emsp
from ocpi_emsp.ports import AnyStore
from ocpi_emsp.resources import Diagnosis
from ocpi_emsp.settings import HttpLimits

_SLOWEST = 3
"""Read timeouts that one whole response may take."""
_LARGEST = 16 * 1024 * 1024
"""Bytes of a response that diagnose reads: a page of 100 locations has far fewer."""


def run(arguments: Arguments) -> int:
    """Run the action; return 1 if something would not work, 3 if the partner fails."""
    return int(_ACTIONS[arguments.action](arguments))


# --- diagnose -------------------------------------------------------------------------------------------------------


def _diagnose(arguments: Arguments) -> int:
    diagnosis = _diagnose_url(arguments) if "://" in arguments.partner else _diagnose_party(arguments)
    if arguments.json:
        output.write_json(diagnosis.as_json(), indent=None)
    else:
        _print(diagnosis)
    if not diagnosis.reachable:
        return Outside.status
    return 0 if diagnosis.ok else CommandFailed.status


def _diagnose_url(arguments: Arguments) -> Diagnosis:
    from ocpi_emsp.storage import MemoryStore

    token = token_of(arguments, "token")
    if token is None:
        raise Usage(
            "Missing token: a versions URL needs a token that the partner gave us: "
            "set --token-file FILE, --token or OCPI_EMSP_TOKEN"
        )
    headers = headers_of(arguments.headers)
    with usable_headers():
        return _quick(arguments, MemoryStore()).parties.diagnose(
            arguments.partner,
            token=token,
            base64_token=arguments.base64,
            headers=headers,
            hosts=arguments.hosts or None,
        )


def _diagnose_party(arguments: Arguments) -> Diagnosis:
    try:
        codes = party_of(arguments.partner)
    except click.BadParameter:
        expected = "a versions URL or a party such as NL-TNM"
        raise Usage(f"invalid partner '{arguments.partner}': expected {expected}") from None
    if arguments.token_file is not None or (arguments.token is not None and source("token") == "--token"):
        raise Usage("--token is for a versions URL: a registered party is called with its stored token")
    with opened(arguments) as store:
        warn_of_readers(store)
        return _quick(arguments, store).partner(codes).diagnose()


def _quick(arguments: Arguments, store: AnyStore) -> Emsp:
    """Return an eMSP that waits no longer than the arguments say, with a placeholder identity unless one is given."""
    seconds = arguments.timeout
    limits = Limits(
        http=HttpLimits(
            read_timeout=seconds, connect_timeout=seconds, total_timeout=seconds * _SLOWEST, response_body=_LARGEST
        )
    )
    given = {name: value for name, value in vars(arguments).items() if name in vars(ANYONE) and value}
    identity = Arguments(**{**vars(ANYONE), **given})
    return make_emsp(identity, store, limits=limits)


def _print(diagnosis: Diagnosis) -> None:
    width = output.width()
    if width >= output.WIDE:
        checks = [(check.outcome.value, check.name, check.sentence) for check in diagnosis.checks]
        output.write(output.table(("", "check", diagnosis.versions_url), checks, width) + "\n")
        rows = [
            (each.works.value, each.row.module, each.row.direction, each.row.methods, each.row.path, each.why)
            for each in diagnosis.expected_support
        ]
        output.write(output.table(("works", "module", "direction", "methods", "path", "why"), rows, width))
    else:
        output.write("".join(f"{line}\n" for line in _story(diagnosis, width)))
    for each in diagnosis.suggestions:
        start = output.printable(f"profile: {each.name} = {each.value} would fit:")
        output.write("".join(f"{line}\n" for line in output.beside(start, output.printable(each.why), width)))


def _story(diagnosis: Diagnosis, width: int) -> Iterator[str]:
    """Yield a line for each check and each row of the matrix; equal results share a line. --json has every detail."""
    yield output.printable(diagnosis.versions_url)
    checks = dict[tuple[str, str], list[str]]()
    for check in diagnosis.checks:
        outcome = check.outcome.value
        sentence = check.sentence.partition(": GET ")[0] if outcome == "skipped" else check.sentence
        checks.setdefault((outcome, sentence), []).append(check.name)
    for (outcome, sentence), names in checks.items():
        start = f"{output.mark(outcome != 'failed')} {outcome:<7} {', '.join(names)}:"
        yield from output.beside(start, output.printable(sentence), width)
    rows = dict[tuple[str, ...], list[str]]()
    for each in diagnosis.expected_support:
        why = each.why if each.works == "no" else ""  # the others are clear from their word
        rows.setdefault((each.row.module, each.works.value, each.row.direction, each.row.path, why), []).append(
            each.row.methods
        )
    for (_, works, direction, path, why), methods in rows.items():
        start = f"{works:<7} {direction}  {'|'.join(methods)} {path}"
        yield from output.beside(start, output.printable(why), width) if why else [start]


# --- registration ---------------------------------------------------------------------------------------------------


def _rotate(arguments: Arguments) -> int:
    with renewing_emsp(arguments) as emsp:
        party = emsp.partner(arguments.party).rotate()
    print_party(party, "fresh tokens exchanged with", as_json=arguments.json)
    return 0


def _update(arguments: Arguments) -> int:
    with renewing_emsp(arguments) as emsp:
        party = emsp.partner(arguments.party).update(versions_url=arguments.versions_url)
    print_party(party, "updated", as_json=arguments.json)
    return 0


def _unregister(arguments: Arguments) -> int:
    country_code, party_id = party = arguments.party
    if arguments.no_tell:  # nothing is sent, so our identity does not matter
        with opened(arguments) as store:
            emsp_of_nobody(store).partner(party).unregister(tell=False)
    else:
        with emsp_of(arguments) as emsp:
            emsp.partner(party).unregister()
    if arguments.json:
        result: dict[str, Any] = {"country_code": country_code, "party_id": party_id, "told": not arguments.no_tell}
        output.write_json(result, indent=None)
    else:
        output.write(f"unregistered {country_code}-{party_id}\n")
    return 0


_ACTIONS = {"diagnose": _diagnose, "rotate": _rotate, "update": _update, "unregister": _unregister}
