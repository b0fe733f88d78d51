"""The engine that is guided by coverage, where atheris is installed: libFuzzer over the bytes of a case.

Rules of this module:
- the bytes choose the target, and whether they are the input itself, or what Hypothesis draws a partner's document by;
- libFuzzer ends the process at the first crash, which is written before.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Sequence

import atheris  # type: ignore[import-untyped, import-not-found, unused-ignore] # optional

with atheris.instrument_imports(include=["ocpi_emsp"]):
    from cases import CASES
    from targets import TARGETS, TOKEN, Case

from hypothesis import HealthCheck, given, settings

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

    def run(target: str, case: Case) -> None:
        found.tried[target] += 1
        try:
            TARGETS[target](case)
        except Exception as error:
            found.crash(target, case, error)
            raise

    drawn = {target: _drawn(target, run) for target in names}

    def one(data: bytes) -> None:
        provider = atheris.FuzzedDataProvider(data)
        target = names[provider.ConsumeIntInRange(0, len(names) - 1)]
        if provider.ConsumeBool() or target == "openapi":  # its cases are no bytes
            drawn[target](provider.ConsumeBytes(provider.remaining_bytes()))
        else:
            run(target, _case(target, provider))

    atheris.Setup([sys.argv[0], f"-max_total_time={int(seconds)}", "-max_len=4096", "-close_fd_mask=0"], one)
    atheris.Fuzz()
    return found.summary(started)


def _drawn(target: str, run: Callable[[str, Case], None]) -> Callable[[bytes], object]:
    """Runs the case that Hypothesis draws by some bytes."""

    @settings(deadline=None, database=None, suppress_health_check=list(HealthCheck))
    @given(CASES[target])
    def with_case(case: Case) -> None:
        run(target, case)

    draw: Callable[[bytes], object] = with_case.hypothesis.fuzz_one_input  # type: ignore[attr-defined] # it has it
    return draw


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
