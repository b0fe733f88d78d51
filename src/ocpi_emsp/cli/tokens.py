"""``ocpi-emsp tokens put|invalidate``: our drivers' tokens, stored and pushed to every party that they are pushed to.

Rules of this module:
- members of a token that are unknown to the specification are stored and sent with it (docs/how-to/extensions.md);
- a token that breaks the specification is reported with its place and left out; the others are stored, batch by batch,
  so that a file of any size needs little memory;
- tokens stay stored whatever the result of the pushes: the next push retries those that failed;
- each party has everything, was pushed to, or waits, and the output says why; the status is the worst of all.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from typing import Any, BinaryIO

from attrs import asdict, define, field

from ocpi_emsp.cli import files, output
from ocpi_emsp.cli.errors import CommandFailed
from ocpi_emsp.cli.listing import members
from ocpi_emsp.cli.options import Arguments
from ocpi_emsp.cli.payloads import Part, read_parts
from ocpi_emsp.cli.push_tokens import print_report, status_of
from ocpi_emsp.cli.stores import emsp_of
from ocpi_emsp.codec import parse, wire_time
from ocpi_emsp.emsp import Emsp
from ocpi_emsp.errors import InvalidObject, NotJson, StoreFailed
from ocpi_emsp.findings import counted
from ocpi_emsp.models import TokenType
from ocpi_emsp.resources import TokensPushed, WaitingPush
from ocpi_emsp.resources.records import TokenWithExtensions, valid_token_with_extensions

_MAX_NAMED = 20
"""Tokens that are named one by one."""


def run(arguments: Arguments) -> int:
    """Put or invalidate, then push; return 1 if a token was left out or rejected, 3 if a party was unreachable."""
    is_put = arguments.action == "put"
    with contextlib.ExitStack() as stack:
        stream = stack.enter_context(files.entered(arguments.file)) if is_put else None
        emsp = stack.enter_context(emsp_of(arguments, makes=is_put))
        status = 0
        if stream is not None:
            done, status = _put(emsp, Reading(arguments.file, stream))
        else:
            done = _invalidate(emsp, arguments.uid, TokenType(arguments.type))
        if not arguments.json:
            output.write_line(_said(done))
        pushed = [] if arguments.no_push else emsp.tokens.push_pending(at_once=True)
        waiting = _waiting(emsp, pushed)
    if arguments.json:
        parties = {"parties": [asdict(each) for each in pushed], "waiting": [members(each) for each in waiting]}
        output.write_json({**done, **parties}, indent=None)
    else:
        _print(pushed, waiting)
    return max([status, *(status_of(each) for each in pushed)])


# --- put ------------------------------------------------------------------------------------------------------------


@define
class Reading:
    """The usable tokens of a file."""

    _file: str
    _stream: BinaryIO
    good: int = field(default=0, init=False)
    refused: int = field(default=0, init=False)

    def tokens(self) -> Iterator[TokenWithExtensions]:
        """Yield every token that can be stored, with its extensions; the others are reported.

        Raises Usage if the file is unreadable.
        """
        with files.reading(self._file):
            for part in read_parts(self._stream, self._file):
                if not part.envelope and (token := self._token(part)) is not None:
                    self.good += 1
                    yield token

    def _token(self, part: Part) -> TokenWithExtensions | None:
        place = ": ".join(each for each in (self._file, part.place, part.pointer) if each)
        if part.too_long:
            self._refuse([f"{place}: it is too long for a token"])
            return None
        try:
            return valid_token_with_extensions(parse(part.document))
        except NotJson as error:
            self._refuse([f"{place}: {error.message}"])
        except InvalidObject as error:
            self._refuse([f"{place}: {finding}" for finding in error.findings] or [f"{place}: {error.message}"])
        return None

    def _refuse(self, why: list[str]) -> None:
        self.refused += 1
        if self.refused <= _MAX_NAMED:
            for line in why:
                output.say(line)


def _put(emsp: Emsp, reading: Reading) -> tuple[dict[str, Any], int]:
    """Return what was put, and the exit status."""
    try:
        changed = emsp.tokens.put_many(reading.tokens())
    except StoreFailed:
        read = counted(reading.good, "token")
        output.say(f"the database failed; read until then: {read}; those already stored stay stored")
        raise
    if reading.refused > _MAX_NAMED:
        more = reading.refused - _MAX_NAMED
        output.say(f"{counted(more, 'more token')} {'was' if more == 1 else 'were'} left out")
    said = {"kept": reading.good, "changed": changed, "refused": reading.refused}
    return said, CommandFailed.status if reading.refused else 0


def _invalidate(emsp: Emsp, uid: str, token_type: TokenType) -> dict[str, Any]:
    """Return the invalidated token. Raises UnknownObject."""
    token = emsp.tokens.invalidate(uid, token_type)
    return {
        "uid": token.uid,
        "type": token.type.value,
        "valid": token.valid,
        "last_updated": wire_time(token.last_updated),
    }


# --- output ---------------------------------------------------------------------------------------------------------


def _said(done: dict[str, Any]) -> str:
    if "uid" in done:
        return f"token {done['uid']} ({done['type']}) is not valid since {done['last_updated']}"
    stored = counted(done["kept"], "token")
    return f"{stored} stored, {done['changed']} new or changed; {done['refused']} left out"


def _print(pushed: list[TokensPushed], waiting: list[WaitingPush]) -> None:
    for report in pushed:
        print_report(report)
    for each in waiting:
        why = "another process pushes to it" if each.leased else "waits for a push"
        output.write_line(f"{_party(each)}  {why}")
    if not pushed and not waiting:
        output.say("no party waits for a push")


def _waiting(emsp: Emsp, pushed: list[TokensPushed]) -> list[WaitingPush]:
    """Return the parties that were not pushed to, and lack changes."""
    done = {_party(each) for each in pushed}
    return [each for each in emsp.tokens.waiting() if _party(each) not in done]


def _party(each: TokensPushed | WaitingPush) -> str:
    return f"{each.country_code}-{each.party_id}"
