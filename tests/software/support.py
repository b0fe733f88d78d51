"""What the tests against software of others share: its processes, and our eMSP over HTTP.

Rules: each package runs in an environment of its own, which ``make test-foreign`` makes; a process is started on a free
port, asked until it answers, and ended with its test. Our side has its default settings, but for http on loopback.
"""

from __future__ import annotations

import json
import os
import socket
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, TypeAlias

import httpx
import pytest
from attrs import define, frozen

from ocpi_emsp import Emsp
from ocpi_emsp.resources.partner import Partner
from ocpi_emsp.testing.cpo import samples
from ocpi_emsp.testing.cpo.wire import encode
from processes import limited

Document: TypeAlias = dict[str, Any]

HERE = Path(__file__).parent
ROOT = HERE.parents[1]
SECONDS = 20.0
"""What a process may take until it answers."""
LIFETIME = 600.0
"""Seconds that one may live; it is there for all tests."""


def python_of(package: str) -> str:
    """The Python of the environment of a package."""
    found = ROOT / f".venv-{package}" / "bin" / "python"
    assert found.exists(), f"{found} is missing: make test-foreign makes it"
    return str(found)


on_every_store = pytest.mark.parametrize("store", ["memory", "sqlite", "postgresql"], indirect=True)
"""What a test that looks at what is stored has."""

# --- extrawest-ocpi: a CPO that serves ------------------------------------------------------------------------------

TOKEN_A = "9c3f8a5e7d2b4c1f90e6a8d4b7c5e3f1"
TOKEN_C = "1f3e5c7b4d8a6e09f1c4b2d7e5a8f3c9"
OPERATOR_TOKEN = "5a8f3c91f3e5c7b4d8a6e09f1c4b2d7e"
PAGE = 2
OWN = {"PROTOCOL": "http", "COUNTRY_CODE": "NL", "PARTY_ID": "TNM"}


def records() -> dict[str, dict[str, Document]]:
    """What the CPO has, as its own classes want it.

    They require ``twentyfourseven``, and ``supplier_name`` of an energy mix; write the end of a CDR as
    ``end_date_time``, as OCPI 2.2 does, and its id in lower case.
    """
    tariff = samples.tariff("TAR1")
    locations = [samples.location(f"LOC{number}", index=number) for number in range(1, 6)]
    for each in locations:
        each["energy_mix"] |= {"supplier_name": "Greenpeace", "energy_product_name": "Eco"}
        each["opening_times"].setdefault("twentyfourseven", False)
    sessions = []
    for number, each in enumerate(locations[:3], start=1):
        sessions.append(samples.session(f"SES{number}", at=samples.relevant(each), auth_id="IT-BEC-1", tariff=tariff))
    cdrs = [samples.cdr(f"cdr{number}", of=each, tariffs=[tariff]) for number, each in enumerate(sessions, start=1)]
    sessions[2] |= {"status": "ACTIVE", "end_datetime": None}
    for each in cdrs:
        each["end_date_time"] = each.pop("stop_date_time")
    listed = {"locations": locations, "sessions": sessions, "cdrs": cdrs, "tariffs": [tariff]}
    return {module: {each["id"]: each for each in documents} for module, documents in listed.items()}


@frozen
class Extrawest:
    """A running CPO on extrawest-ocpi."""

    origin: str

    @property
    def versions_url(self) -> str:
        """What it would give us, beside token A."""
        return f"{self.origin}/ocpi/versions"

    @property
    def commands_url(self) -> str:
        """Where it takes commands; it does not announce that."""
        return f"{self.origin}/ocpi/cpo/2.1.1/commands/"

    def seen(self) -> Document:
        """What it was sent."""
        answer: Document = httpx.get(f"{self.origin}/seen").json()
        return answer

    def begin(self, **state: Any) -> None:
        """Forget what it was sent, and its partner."""
        httpx.post(f"{self.origin}/begin", json=state).raise_for_status()

    def push(self, module: str, object_id: str, *, to: str, token: str) -> Document:
        """Have it push one of its objects, as its backend would; what we answered."""
        receiver = {"endpoints_url": to, "auth_token": token}
        answer = httpx.post(
            f"{self.origin}/push/2.1.1",
            headers={"authorization": f"Token {OPERATOR_TOKEN}"},
            json={"module_id": module, "object_id": object_id, "receivers": [receiver]},
        )
        (response,) = answer.raise_for_status().json()["receiver_responses"]
        found: Document = response
        return found


@frozen
class Connected:
    """Our eMSP and the CPO that it is registered with."""

    emsp: Emsp
    url: str
    """Our public base."""
    cpo: Extrawest

    @property
    def partner(self) -> Partner:
        """The CPO, as our eMSP sees it."""
        return self.emsp.partner("NL-TNM")

    def push(self, module: str, object_id: str) -> Document:
        """Have the CPO push one of its objects to us, and be answered with a success."""
        token = self.cpo.seen()["partner"]["credentials"]["token"]
        answered = self.cpo.push(module, object_id, to=f"{self.url}/2.1.1", token=token)
        assert answered["status_code"] in (200, 201), answered
        return answered


@contextmanager
def extrawest(**settings: str) -> Iterator[Extrawest]:
    """A CPO on extrawest-ocpi, at a free port, with further settings of extrawest-ocpi."""
    with socket.create_server(("127.0.0.1", 0)) as listening:
        host = f"127.0.0.1:{listening.getsockname()[1]}"
        given = {
            "socket": listening.fileno(),
            "url": f"http://{host}/ocpi/versions",
            "token_a": TOKEN_A,
            "token_c": TOKEN_C,
            "operator_token": OPERATOR_TOKEN,
            "page": PAGE,
            "records": records(),
        }
        started = subprocess.Popen(
            [python_of("extrawest_ocpi"), "cpo.py"],
            cwd=HERE / "extrawest_ocpi",
            env={**os.environ, **OWN, "OCPI_HOST": host, **settings},
            stdin=subprocess.PIPE,
            pass_fds=[listening.fileno()],
        )
        with started as process, limited(process, LIFETIME):
            assert process.stdin
            with process.stdin as typed:
                typed.write(encode(given))
            cpo = Extrawest(f"http://{host}")
            _wait(process, cpo.seen)
            yield cpo


def _wait(process: subprocess.Popen[bytes], ask: Any) -> None:
    """Until it answers; the port listens from the beginning, so one question waits for most of it."""
    end = time.monotonic() + SECONDS
    while True:
        assert process.poll() is None, f"{process.args!r} ended with {process.returncode}"
        try:
            ask()
            return
        except httpx.TransportError:
            assert time.monotonic() < end, f"{process.args!r} does not answer"
            time.sleep(0.05)


# --- ocpplab-ocpi-211-sdk: a CPO that calls -------------------------------------------------------------------------


@define
class Sdk:
    """The SDK in its process, one call after the other."""

    process: subprocess.Popen[str]
    base: str = ""
    token: str = ""

    def become(self, base: str, token: str) -> None:
        """Call there with this token from now on."""
        self.base, self.token = base, token

    def __call__(self, call: str, *path: str, **body: Any) -> Document:
        """What the SDK returned, as it read it: ``answer`` and ``headers``; or what it raised."""
        assert self.process.stdin
        assert self.process.stdout
        asked = {"base": self.base, "key": f"Token {self.token}", "call": call, "path": path, "body": body}
        self.process.stdin.write(encode(asked).decode() + "\n")
        self.process.stdin.flush()
        line = self.process.stdout.readline()
        assert line, "the process of the SDK ended"
        returned: Document = json.loads(line)
        return returned

    def done(self, call: str, *path: str, **body: Any) -> Any:
        """The data of an answer that is a success by both layers."""
        returned = self(call, *path, **body)
        assert returned.get("answer", returned).get("status_code") == 1000, returned
        return returned["answer"].get("data")


@contextmanager
def sdk_process() -> Iterator[subprocess.Popen[str]]:
    """A process with the SDK."""
    started = subprocess.Popen(
        [python_of("ocpplab_ocpi_211_sdk"), "client.py"],
        cwd=HERE / "ocpplab_ocpi_211_sdk",
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    with started as process, limited(process, LIFETIME):
        yield process
