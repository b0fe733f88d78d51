"""The files of docs/examples/deploy: what they name exists, and the programs that read them take them."""

from __future__ import annotations

import json
import os
import re
import runpy
import shlex
import shutil
import subprocess
import threading
import tomllib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from wsgiref.simple_server import WSGIRequestHandler, make_server

import pytest
import yaml  # type: ignore[import-untyped] # without types
from sqlalchemy import make_url

from ocpi_emsp import Emsp
from ocpi_emsp.errors import StoreFailed
from ocpi_emsp.ports import AnyStore
from ocpi_emsp.storage import FernetBox, MemoryStore
from pages.test_names import known_variables, resolved

FOLDER = Path(__file__).parents[1] / "docs" / "examples" / "deploy"
UNITS = sorted(FOLDER.glob("*.service"))
COMPOSE: dict[str, Any] = yaml.safe_load((FOLDER / "compose.yaml").read_text("utf-8"))
DOCKERFILE = (FOLDER / "Dockerfile").read_text("utf-8").replace("\\\n", " ")


def commands() -> Iterator[list[str]]:
    """Each command of ours, without its name."""
    yield from (service["command"][1:] for service in COMPOSE["services"].values() if "command" in service)
    for line in DOCKERFILE.splitlines():
        if line.startswith("CMD "):
            yield yaml.safe_load(line.removeprefix("CMD "))[1:]
    for unit in UNITS:
        for line in re.findall(r"^Exec\w+=\S+/ocpi-emsp (.*)$", unit.read_text("utf-8"), re.MULTILINE):
            yield shlex.split(line)


@pytest.mark.parametrize("words", list(commands()), ids=" ".join)
def test_a_command_has_these_options(words: list[str]) -> None:
    command = resolved(words)
    assert {word for word in words if word.startswith("--")} <= {flag for each in command.params for flag in each.opts}


def test_there_are_commands() -> None:
    assert {words[0] for words in commands()} == {"serve", "worker", "sync", "db"}


def test_services_depend_on_services_and_mount_what_is_declared() -> None:
    services = COMPOSE["services"]
    for service in services.values():
        assert set(service.get("depends_on", {})) <= services.keys()
        for volume in service.get("volumes", []):
            source = volume.split(":")[0]
            assert (FOLDER / source).is_file() if source.startswith(".") else source in COMPOSE["volumes"]


def test_the_server_believes_the_network_of_the_proxy_alone() -> None:
    (network,) = COMPOSE["networks"]["default"]["ipam"]["config"]
    words = COMPOSE["services"]["server"]["command"]
    assert words[words.index("--forwarded") + 1] == network["subnet"]
    port = words[words.index("--port") + 1]
    assert COMPOSE["services"]["caddy"]["environment"]["SERVERS"] == f"server:{port}"


def test_the_schema_waits_until_postgresql_answers_other_containers() -> None:
    """The server that creates the database answers on its socket alone, on a slow disk for more than three checks."""
    health = COMPOSE["services"]["postgres"]["healthcheck"]
    words = health["test"]
    assert words[words.index("--host") + 1] == "127.0.0.1"
    assert int(health["start_period"].removesuffix("s")) >= 60
    assert COMPOSE["services"]["schema"]["depends_on"] == {"postgres": {"condition": "service_healthy"}}


def test_a_container_may_do_no_more_than_a_unit() -> None:
    for unit in UNITS:
        assert {"NoNewPrivileges=yes", "ProtectSystem=strict", "CapabilityBoundingSet="} <= set(
            unit.read_text("utf-8").splitlines()
        )
    for name, service in COMPOSE["services"].items():
        if service["image"] == "ocpi-emsp":
            assert service["read_only"] is True, name
            assert service["cap_drop"] == ["ALL"], name
            assert service["security_opt"] == ["no-new-privileges:true"], name


def test_settings_exist_and_each_value_is_in_the_example() -> None:
    example = set(re.findall(r"^([A-Z_]+)=", (FOLDER / "env.example").read_text("utf-8"), re.MULTILINE))
    assert set(re.findall(r"\$\{([A-Z_]+)", (FOLDER / "compose.yaml").read_text("utf-8"))) == example
    assert set(COMPOSE["x-emsp"]["environment"]) <= known_variables()
    # Compose prefers the environment to .env, and some systems export these.
    assert example.isdisjoint({"HOST", "HOSTNAME", "NAME", "PORT", "USER"})
    assert {name for name in example if name.startswith("OCPI_")} <= known_variables()


def values() -> dict[str, str]:
    """The example, with what its comments make where it has nothing."""
    found, making = dict[str, str](), ""
    for line in (FOLDER / "env.example").read_text("utf-8").splitlines():
        name, _, value = line.partition("=")
        if line.startswith("#"):
            making = line.removeprefix("# ").partition(":")[0]
        else:
            found[name] = value.strip("'") or subprocess.check_output(["sh", "-c", making], text=True).strip()
    return found


@pytest.mark.skipif(shutil.which("openssl") is None, reason="there is no openssl")
def test_the_key_that_the_example_makes_is_one() -> None:
    FernetBox(values()["OCPI_EMSP_SECRET_KEY"])
    password = values()["POSTGRES_PASSWORD"]
    url = COMPOSE["x-emsp"]["environment"]["OCPI_EMSP_STORE"].replace("${POSTGRES_PASSWORD:?}", password)
    assert make_url(url).password == password


@pytest.mark.skipif(
    not (shutil.which("docker-compose") and shutil.which("openssl")), reason="there is no docker-compose, or no openssl"
)
def test_compose_takes_its_file() -> None:
    tried = subprocess.run(
        ["docker-compose", "--file", str(FOLDER / "compose.yaml"), "config", "--quiet"],
        env=os.environ | values(),
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert tried.returncode == 0, tried.stderr


def test_what_the_image_copies_is_there() -> None:
    copied = re.findall(r"^COPY (\S+)", DOCKERFILE, re.MULTILINE)
    assert [name for name in copied if not name.startswith("dist/")] == ["ready.py"]
    assert (FOLDER / "ready.py").is_file()


def test_the_image_is_asked_where_it_listens() -> None:
    (health,) = re.findall(r"^HEALTHCHECK .*CMD (\[.*\])$", DOCKERFILE, re.MULTILINE)
    (started,) = re.findall(r"^CMD (\[.*\])$", DOCKERFILE, re.MULTILINE)
    (exposed,) = re.findall(r"^EXPOSE (\d+)$", DOCKERFILE, re.MULTILINE)
    assert f"COPY ready.py {yaml.safe_load(health)[1]}\n" in DOCKERFILE
    words = yaml.safe_load(started)
    assert words[words.index("--port") + 1] == exposed
    ready = (FOLDER / "ready.py").read_text("utf-8")
    assert re.findall(r'environ\.get\("PORT", "(\d+)"\)', ready) == [exposed]
    assert set(re.findall(r'environ\["(\w+)"\]', ready)) <= set(COMPOSE["x-emsp"]["environment"])


def test_the_image_installs_extras_that_exist() -> None:
    project = tomllib.loads((FOLDER.parents[2] / "pyproject.toml").read_text("utf-8"))["project"]
    (extras,) = re.findall(r"\.whl\)\[([\w,]+)\]", DOCKERFILE)
    assert set(extras.split(",")) <= project["optional-dependencies"].keys()
    assert "ocpi_emsp-" in DOCKERFILE


def test_caddy_bounds_requests_as_the_proxy_of_one_machine_does() -> None:
    alone, ours = ((folder / "Caddyfile").read_text("utf-8") for folder in (FOLDER.parent, FOLDER))
    bounds = re.compile(r"^\tservers \{.*?^\t\}", re.MULTILINE | re.DOTALL)
    assert bounds.findall(ours) == bounds.findall(alone) != []
    assert "header_up X-Forwarded-For {remote_host}" in ours
    assert set(re.findall(r"\{\$(\w+)", ours)) <= COMPOSE["services"]["caddy"]["environment"].keys()


@pytest.mark.skipif(shutil.which("caddy") is None, reason="there is no caddy")
@pytest.mark.parametrize("folder", [FOLDER, FOLDER.parent], ids=["deploy", "one machine"])
def test_caddy_takes_its_file_and_forwards_our_paths_alone(folder: Path) -> None:
    environ = os.environ | {"HOST": "ocpi.example.com", "SERVERS": "localhost:8001 localhost:8002"}
    adapted = subprocess.run(
        ["caddy", "adapt", "--config", str(folder / "Caddyfile")],
        env=environ,
        capture_output=True,
        timeout=60,
        check=True,
    )
    document = json.loads(adapted.stdout)
    handled = {name: json.dumps(route) for route in _routes(document) for name in _paths(route)}
    assert "reverse_proxy" in handled["/ocpi/*"]
    assert "reverse_proxy" not in handled[""]
    assert '"status_code": 404' in handled[""]


def _routes(document: dict[str, Any]) -> list[dict[str, Any]]:
    """The routes of the host, whose names decide what is forwarded."""
    (server,) = document["apps"]["http"]["servers"].values()
    routes: list[dict[str, Any]] = server["routes"][0]["handle"][0]["routes"]
    return routes


def _paths(route: dict[str, Any]) -> list[str]:
    return [path for match in route.get("match", [{"path": [""]}]) for path in match["path"]]


@pytest.mark.skipif(not (shutil.which("nginx") and shutil.which("openssl")), reason="there is no nginx, or no openssl")
def test_nginx_takes_its_file(tmp_path: Path) -> None:
    key, certificate = tmp_path / "key.pem", tmp_path / "certificate.pem"
    subject = ("-subj", "/CN=ocpi.example.com", "-days", "1", "-nodes", "-newkey", "rsa:2048")
    making = ("openssl", "req", "-x509", *subject, "-keyout", str(key), "-out", str(certificate))
    subprocess.run(making, capture_output=True, timeout=60, check=True)
    ours = (FOLDER.parent / "nginx.conf").read_text("utf-8")
    ours = re.sub(r"/etc/ssl/private/\S+\.key", str(key), re.sub(r"/etc/ssl/\S+\.crt", str(certificate), ours))
    (tmp_path / "nginx.conf").write_text(f"pid {tmp_path}/pid;\nevents {{}}\nhttp {{\n{ours}\n}}\n", "utf-8")
    tried = subprocess.run(
        ["nginx", "-t", "-p", str(tmp_path), "-c", str(tmp_path / "nginx.conf"), "-e", str(tmp_path / "log")],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert tried.returncode == 0, tried.stderr


@pytest.mark.skipif(shutil.which("systemd-analyze") is None, reason="there is no systemd")
def test_systemd_takes_the_units(tmp_path: Path) -> None:
    for unit in UNITS:
        here = unit.read_text("utf-8").replace("/opt/ocpi-emsp/bin/ocpi-emsp", "/bin/true")
        (tmp_path / unit.name).write_text(here, "utf-8")
    said = subprocess.run(
        ["systemd-analyze", "verify", *(str(tmp_path / unit.name) for unit in UNITS)],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert not [line for line in said.stderr.splitlines() if "ocpi-emsp" in line], said.stderr


class Broken:
    """A store without its database."""

    def transaction(self, **_: bool) -> Any:
        raise StoreFailed("the database does not answer")


class Quiet(WSGIRequestHandler):
    """A handler that writes no log."""

    def log_message(self, *_: Any) -> None:
        """Write nothing."""


@contextmanager
def served(store: AnyStore) -> Iterator[int]:
    """The port of an eMSP on this store."""
    emsp = Emsp(country_code="IT", party_id="BEC", name="B", url="https://ocpi.example.com/ocpi/emsp", store=store)
    with make_server("127.0.0.1", 0, emsp.wsgi(), handler_class=Quiet) as server:
        thread = threading.Thread(target=server.handle_request)
        thread.start()
        yield server.server_port
        thread.join(10)


@pytest.mark.parametrize(("store", "ready"), [(MemoryStore(), True), (Broken(), False)], ids=["ready", "broken"])
def test_it_is_ready_if_its_database_answers(store: AnyStore, ready: bool) -> None:
    is_ready = runpy.run_path(str(FOLDER / "ready.py"))["is_ready"]
    with served(store) as port:
        assert is_ready(port, "/ocpi/emsp") is ready
