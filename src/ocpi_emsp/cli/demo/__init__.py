"""``ocpi-emsp demo``: every row of the support matrix, between us and two simulated CPOs, over real HTTP.

Rules of this package:
- each scene has a time limit, and so has the whole demo; what was not reached has failed;
- the exit status is 0 only if every row behaved as the matrix says, and every audit is as expected;
- no token is printed.
"""

from __future__ import annotations

import asyncio
import signal
import time
from collections.abc import Sequence
from contextlib import aclosing
from typing import Any, cast

from ocpi_emsp.cli import output
from ocpi_emsp.cli.demo.audited import Audited, not_reached
from ocpi_emsp.cli.demo.rows import Result, Rows
from ocpi_emsp.cli.demo.story import text
from ocpi_emsp.cli.options import Arguments
from ocpi_emsp.cli.signals import on_signals
from ocpi_emsp.support import SupportMatrix

SECONDS = 60.0
"""The time limit of the demo; it takes two or three seconds."""
SCENE_SECONDS = 15.0
"""The time limit of one scene: more than its calls may take."""


def run(arguments: Arguments) -> int:
    """Play the demo and print what happened."""
    output.require("starlette", "server")
    output.require("uvicorn", "server")
    output.require("sqlalchemy", "sql")
    matrix = SupportMatrix.default()
    try:
        result = asyncio.run(demonstrate(matrix, matrix))
    except asyncio.CancelledError:
        raise KeyboardInterrupt from None
    if arguments.json:
        output.write_json(result.as_json())
    else:
        output.write(text(result, output.width()))
    return 1 if result.failed or not all(each.ok for each in result.audits) else 0


async def demonstrate(expected: SupportMatrix, served: SupportMatrix, cpo_options: Sequence[str] = ()) -> Result:
    """Play every scene with an eMSP that serves one matrix, and judge it by the other; in a demo both are the same.

    ``cpo_options`` are arguments of ``simulate-cpo`` for both CPOs. Raises Outside if a party does not start.
    """
    from ocpi_emsp.cli.demo.stage import staged

    begun, rows = time.monotonic(), Rows(expected)
    parties: tuple[tuple[str, str], ...] = ()
    audits: tuple[Audited, ...] = ()
    task = cast("asyncio.Task[Any]", asyncio.current_task())
    why = "not reached"
    with on_signals(lambda _: task.cancel(), signal.SIGTERM):
        try:
            async with asyncio.timeout(SECONDS), staged(served, cpo_options) as stage:
                parties = (
                    ("eMSP IT-BEC", stage.emsp.identity.versions_url),
                    (f"CPO {stage.tnm}", f"{stage.tnm.versions_url} (it registers with us)"),
                    (f"CPO {stage.abc}", f"{stage.abc.versions_url} (we register with it)"),
                )
                audits = await _play(stage, rows)
        except TimeoutError:
            why = f"not reached within {SECONDS:g} seconds"
    seconds = round(time.monotonic() - begun, 2)
    return Result(parties=parties, rows=rows.close(why), audits=audits or not_reached(why), seconds=seconds)


async def _play(stage: Any, rows: Rows) -> tuple[Audited, ...]:
    """Play the scenes; return the audits, which are made before the registrations end."""
    from ocpi_emsp.cli.demo.handshakes import END, REGISTRATION, RENEWAL
    from ocpi_emsp.cli.demo.pulls import PULLS
    from ocpi_emsp.cli.demo.pushes import PUSHES

    await _play_scenes(stage, rows, (*REGISTRATION, *PULLS, *PUSHES))
    audits = await _audits(stage)
    await _play_scenes(stage, rows, (*RENEWAL, *END))
    return audits


async def _audits(stage: Any) -> tuple[Audited, ...]:
    from ocpi_emsp.cli.demo.audits import pull_and_audit

    try:
        async with asyncio.timeout(SCENE_SECONDS):
            return await pull_and_audit(stage)
    except TimeoutError:
        return not_reached(f"nothing within {SCENE_SECONDS:g} seconds")
    except Exception as error:  # noqa: BLE001 # as in a scene
        return not_reached(str(error) or type(error).__name__)


async def _play_scenes(stage: Any, rows: Rows, scenes: Sequence[Any]) -> None:
    for scene in scenes:
        try:
            async with asyncio.timeout(SCENE_SECONDS), aclosing(scene.play(stage)) as happening:
                async for call, seen in happening:
                    rows.record(call, seen)
        except TimeoutError:
            rows.fail(scene.calls, f"nothing within {SCENE_SECONDS:g} seconds")
        except Exception as error:  # noqa: BLE001 # any failure of a scene is that scene's result
            rows.fail(scene.calls, str(error) or type(error).__name__)
