"""What is not imported until it is needed: by pytest, by the command, and by an eMSP that only serves."""

from __future__ import annotations

import json
import subprocess
import sys

_STEPS = {
    "plugin": "import ocpi_emsp.testing.pytest_plugin, ocpi_emsp.testing.strategies_hook",
    "package": "import ocpi_emsp",
    "help": "import ocpi_emsp.cli; ocpi_emsp.cli.main(['--help'])",
    "Emsp": "from ocpi_emsp import Emsp",
    "made": "emsp = Emsp(country_code='IT', party_id='BEC', name='x', url='https://ocpi.example.com', store='memory')",
    "serving": "app = emsp.wsgi()",
    "served": "from wsgiref.util import setup_testing_defaults as defaults; environ = {'PATH_INFO': '/versions'};"
    "defaults(environ); app(environ, lambda *_: None)",
    "token": "emsp.tokens.get('UID1')",
}
_SCRIPT = """
import contextlib, io, json, sys
loaded = {}
for name, step in json.loads(sys.argv[1]).items():
    with contextlib.redirect_stdout(io.StringIO()):
        exec(step)
    loaded[name] = sorted(sys.modules)
print(json.dumps(loaded))
"""
_HEAVY = {"alembic", "hypothesis", "httpx", "httpx2", "rich", "sqlalchemy", "starlette", "uvicorn"}
_TO_SERVE = {"ocpi_emsp.check.rules", "ocpi_emsp.events", "ocpi_emsp.flows.serving.dispatch"}
"""What an Emsp imports when it becomes an application, and no request waits for."""
_LATE = {
    "asyncio",
    "html.parser",
    "dateutil",
    "ocpi_emsp.flows.cdrs.audit",
    "ocpi_emsp.flows.cdrs.reconcile",
    "ocpi_emsp.flows.partner_health.doctor",
    "ocpi_emsp.flows.sync.run",
    "ocpi_emsp.flows.tokens.push.fan_out",
    "ocpi_emsp.openapi",
    "ocpi_emsp.pricing.verdict",
    "ocpi_emsp.report.render_html",
    "ocpi_emsp.resources.partner",
    "ocpi_emsp.resources.tariffs",
    "ocpi_emsp.transports",
    "urllib.request",
}
"""What no eMSP under WSGI needs before it sends, audits, syncs or explains."""


def test_nothing_is_imported_before_it_is_needed() -> None:
    command = [sys.executable, "-c", _SCRIPT, json.dumps(_STEPS)]
    done = subprocess.run(command, capture_output=True, text=True, check=True, timeout=60)
    loaded = {name: set(modules) for name, modules in json.loads(done.stdout).items()}
    for name in ("plugin", "package"):
        assert not loaded[name] & {*_HEAVY, *_LATE, "attrs", "msgspec", "ocpi_emsp.check", "ocpi_emsp.models"}
        assert not [each for each in loaded[name] if each.startswith(("ocpi_emsp.testing.cpo", "ocpi_emsp.cli"))]
    assert not loaded["help"] & {*_HEAVY, *_LATE, "ocpi_emsp.check", "ocpi_emsp.emsp", "ocpi_emsp.models"}
    assert "ocpi_emsp.emsp" in loaded["Emsp"]
    assert not loaded["Emsp"] & {"cattrs"}
    assert not loaded["made"] & {*_HEAVY, *_LATE, *_TO_SERVE}
    assert loaded["serving"] >= _TO_SERVE
    assert not loaded["serving"] & {*_HEAVY, *_LATE}
    assert {each for each in loaded["served"] - loaded["serving"] if each.startswith("ocpi_emsp")} == set()
    assert "ocpi_emsp.resources.tokens" in loaded["token"] - loaded["served"]
