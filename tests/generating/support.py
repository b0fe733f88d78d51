"""What the tests of the generators share: an eMSP that serves everything, with a CPO that is registered."""

from typing import Any

from ocpi_emsp import Emsp, Policy
from ocpi_emsp.testing.backend import Backend
from our_emsp import make_emsp, register
from scripted_cpo import ScriptedCpo, clients

BASE = "/ocpi/emsp"


def emsp_and_token() -> tuple[Emsp, str]:
    """An eMSP, and the token of the CPO NL-TNM."""
    emsp = make_emsp(**clients(ScriptedCpo(modules=("credentials",))))
    return emsp, register(emsp)


def backend(app: Any, token: str, *, examples: int = 6) -> Backend:
    """The eMSP's application as a backend under test."""
    url = isinstance(app, str)
    return Backend(
        app=app,
        token=token,
        country_code="NL",
        party_id="TNM",
        base="" if url else BASE,
        policy=Policy.tolerant(),
        examples=examples,
    )
