"""The example project: its own tests, and served as in production, with a CPO that registers, pushes and is commanded.

It is served by uvicorn, whose lifespan does the background work; page_walk.py serves a project by waitress.
"""

from __future__ import annotations

import os
import re
import signal
import socket
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import anyio
import anyio.to_thread
import httpx
from django.conf import settings
from django.core.management import get_commands, load_command_class
from django.db import connections
from django.test.utils import get_runner
from django.urls import resolve
from sqlalchemy import make_url

from contrib_django.conftest import EXAMPLE
from ocpi_emsp.contrib.django import get_emsp
from ocpi_emsp.testing.cpo import SimulatedCpo
from ocpi_emsp.testing.cpo.server import serving
from processes import limited

SERVER = """
import socket, sys, uvicorn
from backend.asgi import application
config = uvicorn.Config(application, log_level="warning")
uvicorn.Server(config).run(sockets=[socket.socket(fileno=int(sys.argv[1]))])
"""


def test_the_tests_of_the_example_pass() -> None:
    runner = get_runner(settings)(verbosity=0)
    failures = runner.run_tests(["charging"])
    connections.close_all()  # Django leaves a database in memory open
    assert failures == 0


def test_they_pass_on_postgresql(postgres_with_schema: str, tmp_path: Path) -> None:
    url = make_url(postgres_with_schema)
    given = {
        "ENGINE": "django.db.backends.postgresql",
        "NAME": url.database,
        "USER": url.username,
        "PASSWORD": url.password,
        "HOST": url.query.get("host") or url.host,
        "PORT": str(url.port or ""),
        "TEST": {"NAME": f"test_{tmp_path.name}"},
    }
    (tmp_path / "on_postgresql.py").write_text(f"from backend.settings import *\nDATABASES = {{'default': {given}}}\n")
    ran = subprocess.run(
        [sys.executable, "manage.py", "test", "--settings", "on_postgresql", "--noinput"],
        cwd=EXAMPLE,
        env=os.environ | {"PYTHONPATH": str(tmp_path)},
        capture_output=True,
        text=True,
        timeout=150,
        check=False,
    )
    assert ran.returncode == 0, ran.stderr  # the database is dropped, too


def test_its_page_names_what_there_is() -> None:
    """The story below is the one of the page; that runs in processes of its own, and would take as long again."""
    page = (EXAMPLE / "README.md").read_text("utf-8")
    called = re.findall(r"127\.0\.0\.1:8000(/\w+)", page)
    assert called == ["/drivers", "/start", "/stop", "/charges"]
    assert [resolve(path).func.__module__ for path in called] == ["charging.views"] * 4
    for name, action in re.findall(r"manage\.py ([a-z_]+)(?: ([a-z]+))?", page):
        assert name in get_commands()
        if action:
            assert hasattr(load_command_class("ocpi_emsp.contrib.django", name), f"_{action}")
    for app in re.findall(r"(backend\.\w+):application", page):
        assert (EXAMPLE / f"{app.replace('.', '/')}.py").is_file()
    named = {"OCPI_URL", "OCPI_URL_POLICY", "ALLOWED_HOSTS", "SECRET_KEY"}
    settings_file = (EXAMPLE / "backend" / "settings.py").read_text("utf-8")
    assert all(f"`{name}" in page and f'environ.get("{name}"' in settings_file for name in named)


def test_it_is_served_to_a_cpo(listener: socket.socket) -> None:
    port = listener.fileno()
    line = [sys.executable, "-c", SERVER, str(port)]
    environ = os.environ | {"PYTHONPATH": str(EXAMPLE)}
    with (
        subprocess.Popen(line, cwd=EXAMPLE, env=environ, pass_fds=(port,), stderr=subprocess.PIPE, text=True) as server,
        limited(server),
    ):
        anyio.run(_story)
        server.send_signal(signal.SIGTERM)
        _, said = server.communicate()
    assert "Traceback" not in said


async def _story() -> None:
    invitation = await anyio.to_thread.run_sync(get_emsp().parties.invite, "NL-TNM")
    cpo = SimulatedCpo(country_code="NL", party_id="TNM", sessions_follow_commands=True)
    origin = get_emsp().identity.url.removesuffix("/ocpi/emsp")
    async with serving(cpo), httpx.AsyncClient(base_url=origin, timeout=30) as project:
        *_, last = await cpo.register(invitation.versions_url, invitation.token_a.reveal())
        assert last.ok, last
        assert (await cpo.push_location("LOC1")).ok
        shown = (await project.get("/locations/NL-TNM/LOC1")).json()
        assert shown["evses"]["LOC1-E1"] == "AVAILABLE"

        made = await project.post("/drivers", json={"name": "Ada", "token_uid": "ADA"})
        assert made.status_code == 201, made.text
        assert (await cpo.authorize("ADA")).data["allowed"] == "ALLOWED"

        asked = {"token_uid": "ADA", "cpo": "NL-TNM", "location_id": "LOC1"}
        started = (await project.post("/start", json=asked)).json()
        assert started["result"] == "ACCEPTED"
        stopped = await project.post("/stop", json={"cpo": "NL-TNM", "session": started["session"]})
        assert stopped.json() == {"result": "ACCEPTED"}
        await cpo.wait_idle()
        (charge,) = (await project.get("/charges")).json()["charges"]
        assert (charge["driver"], charge["cpo"]) == ("Ada", "NL-TNM")
        await _until(lambda: "ADA" in {each.uid for each in cpo.received_tokens})  # the background work pushes it


async def _until(is_so: Callable[[], bool]) -> None:
    with anyio.fail_after(60):
        while not is_so():
            await anyio.sleep(0.05)
