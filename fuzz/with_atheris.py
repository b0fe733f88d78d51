"""The engine that is guided by coverage, where atheris is installed: libFuzzer over the bytes of a case.

Rules of this module: the first byte chooses the target; libFuzzer ends the process at the first crash, which is
written before.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Sequence

import atheris  # type: ignore[import-untyped, import-not-found, unused-ignore] # optional

with atheris.instrument_imports(include=["ocpi_emsp"]):
    from targets import TARGETS, TOKEN

from run import Found

_KINDS = ("Location", "Evse", "Session", "Cdr", "Tariff", "Token", "Credentials", "CommandResponse", "VersionDetail")
_METHODS = ("PUT", "PATCH", "POST", "GET", "DELETE")
_PATHS = (
    "/2.1.1/locations/NL/TNM/1",
    "/2.1.1/sessions/NL/TNM/1",
    "/2.1.1/tariffs/NL/TNM/1",
    "/2.1.1/cdrs",
    "/2.1.1/tokens",
)


def fuzz(seconds: float, targets: Sequence[str] | None) -> int:
    """Fuzz these targets, or all; libFuzzer ends the process."""
    names, found, started = list(targets or TARGETS), Found(), time.monotonic()

    def one(data: bytes) -> None:
        provider = atheris.FuzzedDataProvider(data)
        target = names[provider.ConsumeIntInRange(0, len(names) - 1)]
        case = _case(target, provider)
        found.tried[target] += 1
        try:
            TARGETS[target](case)
        except BaseException as error:
            found.crash(target, case, error)
            raise

    atheris.Setup([sys.argv[0], f"-max_total_time={int(seconds)}", "-max_len=4096", "-close_fd_mask=0"], one)
    atheris.Fuzz()
    return found.summary(started)


def _case(target: str, provider: atheris.FuzzedDataProvider) -> dict[str, str]:
    def text(most: int) -> str:
        return str(provider.ConsumeBytes(provider.ConsumeIntInRange(0, most)).decode("latin-1"))

    def rest() -> str:
        return str(provider.ConsumeBytes(provider.remaining_bytes()).decode("latin-1"))

    if target in ("decode", "check"):
        return {"kind": provider.PickValueInList(list(_KINDS)), "body": rest()}
    if target == "headers":
        return {"token": text(40), "link": text(60), "query": rest()}
    if target == "path":
        return {"path": "/" + rest()}
    if target == "envelope":
        return {"body": rest()}
    return {
        "method": provider.PickValueInList(list(_METHODS)),
        "path": provider.PickValueInList(list(_PATHS)) + text(12),
        "query": text(20),
        "authorization": f"Token {TOKEN}",
        "id": text(8),
        "body": rest(),
    }
