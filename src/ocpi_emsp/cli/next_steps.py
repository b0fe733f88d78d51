"""What to do about a failure with an external cause: at the partner, or at our own server.

Rules of this module: a step is only suggested if the failure names its cause; the library's messages have the rest.
"""

from __future__ import annotations

from ocpi_emsp.errors import CannotUseApi, NotRegistered, OcpiError, PartnerRefused, StoreFailed, TransportFailed


def next_step(failure: OcpiError) -> str | None:
    """Return a sentence on what to do next, or None."""
    reason = failure.__cause__ if isinstance(failure, CannotUseApi) else failure
    match reason:
        case PartnerRefused(answered_http=401):
            return "the partner does not accept this token: a token A works for one registration, so ask for a new one"
        case PartnerRefused(answered_code=3001):
            return "the partner calls this eMSP back: start its server, and check that --url is where it answers"
        case TransportFailed() if "WRONG_VERSION_NUMBER" in reason.message:
            return "something answers there without TLS: is it an http:// URL?"
        case NotRegistered():
            return (
                "'ocpi-emsp parties list' shows who is registered, and who is only invited; "
                "'ocpi-emsp register' and 'ocpi-emsp invite' begin a registration"
            )
        case StoreFailed() if "readonly database" in reason.message:
            return "the file and its folder must be writable for the user of this process, and the URL without mode=ro"
        case StoreFailed() if "unable to open database file" in reason.message:
            return "the URL must name a file, in a folder that exists and is writable for the user of this process"
        case StoreFailed() if "file is not a database" in reason.message:
            return "another file has this name: --store must name a SQLite database, or a file that is not there yet"
        case _:
            return None
