"""docs: reference/errors.md, every exception with what it answers and what to do.

Rules of this module: names, statuses and sentences come from the classes; what to do stands here, once for each class.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Final

from ocpi_emsp import errors
from ocpi_emsp.errors import OcpiError, PartnerError, Refusal, StoreFailed

_HEAD: Final = """\
# Errors

Every exception of the library is an `OcpiError`, from `ocpi_emsp.errors`: catch that to catch all. Each has a
`message`, and `findings` if a document is the reason: one for each deviation, with its place, rule and clause.

- [A partner's request is refused](#a-partners-request-is-refused): the library answers the partner.
- [A call to a partner fails](#a-call-to-a-partner-fails), [a call is not sent](#a-call-is-not-sent), [your database
  fails](#your-database-fails): the call of your code raises it.
"""
_REFUSED: Final = """\
The library catches these and answers the partner with this HTTP status and OCPI `status_code`. Your code sees one only
from a call of its own that meets the same situation: `emsp.tokens.put` raises `InvalidObject`, `emsp.tokens.patch`
`UnknownObject`, `emsp.parties.register` `AlreadyRegistered`, `RegistrationFailed` or one of its subclasses.
"""
_RAISED: Final = """\
If one of these is raised while a partner's request is handled, in a hook or listener of yours, the partner is answered
HTTP 500 and OCPI 3000.
"""
_CALLS: Final = """\
Raised by what calls a partner: `emsp.partner(...)`, `client()`, `register`. A sync and a push of tokens raise none of
them: their reports have the reason.
"""
TODO: Final = {
    "StoreFailed": "look at the database; repeat the call once it works. With `command_uid` the command was sent: look "
    "at `emsp.commands.pending` instead of sending it again",
    "SchemaMismatch": "run `ocpi-emsp db upgrade`, in a Django project `manage.py migrate`, or install the version of "
    "the library that the schema needs",
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
    "InvalidEnvironment": "correct the environment variable that the message names, or unset it",
    "PartnerError": "catch it around calls to a partner. With `command_uid`, look at `emsp.commands.pending`",
    "TransportFailed": "repeat the call later if `retryable`; otherwise look at certificate, URL and limits",
    "PartnerUnavailable": "wait until `until`",
    "AnswerUnusable": "send the partner the findings; what was usable on a page is stored",
    "PartnerRefused": "read `answered_http`, `answered_code` and the message: they are the partner's",
}


def pages() -> Iterator[tuple[str, str]]:
    """The page."""
    refused, calls = _below(Refusal), _below(PartnerError)
    database = _below(StoreFailed)
    others = [each for each in classes() if each not in {OcpiError, *refused, *calls, *database}]
    sections = (
        _section("A partner's request is refused", _REFUSED, refused, answered=True),
        _section("A call to a partner fails", _CALLS + _RAISED, calls),
        _section("A call is not sent", _RAISED, others),
        _section(
            "Your database fails", "A partner's request that meets one is answered HTTP 500 and OCPI 3000.\n", database
        ),
    )
    yield "reference/errors.md", _HEAD + "".join(sections)


def _below(base: type[OcpiError]) -> list[type[OcpiError]]:
    return [each for each in classes() if issubclass(each, base)]


def classes() -> list[type[OcpiError]]:
    """Every exception, in the order of the module."""
    found = [value for value in vars(errors).values() if isinstance(value, type) and issubclass(value, OcpiError)]
    return [each for each in found if each.__module__ == errors.__name__]


def _section(title: str, about: str, found: Sequence[type[OcpiError]], *, answered: bool = False) -> str:
    rows = "".join(f"{_row(each, answered)}\n" for each in found)
    names = ["exception", *(["HTTP", "OCPI"] if answered else []), "when", "what to do"]
    head = f"| {' | '.join(names)} |\n{'|---' * len(names)}|\n"
    return f"\n## {title}\n\n{about}\n{head}{rows}"


def _row(error: type[OcpiError], answered: bool) -> str:
    when = (error.__doc__ or "").partition("\n")[0].replace("``", "`")
    name = f"[`{error.__name__}`](api/errors.md#{error.__module__}.{error.__name__})"
    statuses = [str(error.http_status), str(error.status_code)] if answered else []
    return f"| {' | '.join([name, *statuses, when, TODO[error.__name__]])} |"
