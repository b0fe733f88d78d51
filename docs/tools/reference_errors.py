"""docs: reference/errors.md, every exception with what it answers and what to do.

Rules of this module: names, statuses and sentences come from the classes; what to do stands here, once for each class.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Final

from ocpi_emsp import errors
from ocpi_emsp.errors import OcpiError, PartnerError, Refusal

_HEAD: Final = """\
# Errors

Every exception of the library is an `OcpiError`, from `ocpi_emsp.errors`. It has a `message`, and `findings` where a
document is the reason. HTTP status and OCPI `status_code` are what a partner is answered if its request depends on it.
"""
TODO: Final = {
    "OcpiError": "catch it to catch every error of the library",
    "StoreFailed": "look at the database; repeat the call once it works. With `command_uid` the command was sent: look "
    "at `emsp.commands.pending` instead of sending it again",
    "SchemaMismatch": "run `ocpi-emsp db upgrade`, or install the version of the library that the schema needs",
    "Refusal": "nothing: the partner is answered. `emsp.rejections.list()` has what was refused",
    "NotJson": "ask the partner to send JSON",
    "InvalidObject": "read `findings`: each has a pointer, a rule and its clause. Correct an object of yours. One of "
    "a partner: send it the report, or relax its policy and replay the rejection",
    "CannotStore": "shorten or correct the value that `findings` names",
    "AlreadyRegistered": "use `partner.rotate()` or `partner.update()`, or `partner.unregister()` first",
    "InvalidParameter": "ask the partner to correct the query of its GET",
    "NotAuthenticated": "compare the partner's token: `emsp.parties.get()` says whether it is registered. Invite anew "
    "if the token is lost",
    "UnknownObject": "check the id and the party. A partner that PATCHes an unknown object has to PUT it first",
    "UnknownLocation": "sync the partner's locations, or ask it to push them",
    "MethodNotAllowed": "switch the row on in the support matrix if you want it",
    "BodyTooLarge": "raise `HttpLimits.request_body` if the payload is legitimate",
    "TooManyRequests": "ask the partner to wait for `Retry-After`, or raise the limit in its profile",
    "BodyTooSlow": "look at the network between the partner and you, or raise `HttpLimits.body_timeout`",
    "CallerGone": "nothing; the partner repeats its request",
    "QuotaExceeded": "raise the quota that `quota` names, or delete what is old (`Retention`)",
    "UnsupportedEncoding": "ask the partner to send the body uncompressed",
    "NotEnoughInformation": "raise it in your authorize hook to ask for a location",
    "RegistrationFailed": "catch it around `emsp.parties.register()`; the subclasses say why",
    "CannotUseApi": "read the message: it names the call that failed. `ocpi-emsp party diagnose` looks at the partner",
    "UnsupportedVersion": "ask the partner for OCPI 2.1.1; this library speaks no other version",
    "MissingEndpoints": "drop the module from `required_modules`, or ask the partner to list its endpoint",
    "NotSupported": "switch the row on: `Emsp(matrix=...)` or `partner.set_matrix()`",
    "NotRegistered": "register the partner first",
    "UnknownCommand": "check the id; an old command may be deleted by the retention",
    "UnsafeUrl": "try-out without TLS: `url_policy='loopback'`; a network of yours: allow it in a `UrlPolicy`; a URL "
    "on another host: name that in `hosts` of the profile",
    "PartnerError": "catch it around calls to a partner. With `command_uid`, look at `emsp.commands.pending`",
    "TransportFailed": "repeat the call later if `retryable`; otherwise look at certificate, URL and limits",
    "PartnerUnavailable": "wait until `until`",
    "AnswerUnusable": "send the partner the findings; what was usable on a page is stored",
    "PartnerRefused": "read `answered_http`, `answered_code` and the message: they are the partner's",
}


def pages() -> Iterator[tuple[str, str]]:
    """The page."""
    sections = (
        ("A partner's request is refused", [each for each in classes() if issubclass(each, Refusal)]),
        ("A call to a partner fails", [each for each in classes() if issubclass(each, PartnerError)]),
        (
            "Others",
            [each for each in classes() if not issubclass(each, Refusal | PartnerError)],
        ),
    )
    yield "reference/errors.md", _HEAD + "".join(_section(title, found) for title, found in sections)


def classes() -> list[type[OcpiError]]:
    """Every exception, in the order of the module."""
    found = [value for value in vars(errors).values() if isinstance(value, type) and issubclass(value, OcpiError)]
    return [each for each in found if each.__module__ == errors.__name__]


def _section(title: str, found: Sequence[type[OcpiError]]) -> str:
    rows = "".join(f"{_row(each)}\n" for each in found)
    return f"\n## {title}\n\n| exception | HTTP | OCPI | when | what to do |\n|---|---|---|---|---|\n{rows}"


def _row(error: type[OcpiError]) -> str:
    when = (error.__doc__ or "").partition("\n")[0]
    name = f"[`{error.__name__}`](api/errors.md#{error.__module__}.{error.__name__})"
    return f"| {name} | {error.http_status} | {error.status_code} | {when} | {TODO[error.__name__]} |"
