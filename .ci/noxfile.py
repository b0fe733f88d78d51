"""What is built, in environments of its own: ``make release-check`` and ``make test-pythons`` run this with nox and uv.

Rules of this module:
- it reads ``dist``, which ``make dist`` builds from the last commit, and never ``src`` of the checkout;
- an environment has the versions that were tested (constraints.txt);
- a Python that is not on this machine and cannot be had is named and left out; ``make test-pythons PYTHONS=3.14`` fails
  without it.
"""

import os
import re
import shutil
import socket
import subprocess
import tarfile
import time
import tomllib
from pathlib import Path

import nox

ROOT = Path(__file__).parents[1]
DIST = ROOT / "dist"
PYTHONS = ("3.11", "3.12", "3.13", "3.14")
EXTRAS = {
    "httpx2": ("ocpi_emsp.transports.httpx", "httpx2"),
    "httpx": ("ocpi_emsp.transports.httpx", "httpx"),
    "server": ("ocpi_emsp.adapters.asgi", "uvicorn", "uvloop", "httptools"),
    "cli": ("ocpi_emsp.cli.demo", "rich"),
    "sql": ("ocpi_emsp.storage.sql", "ocpi_emsp.storage.migrations", "psycopg"),
    "testing": ("ocpi_emsp.testing", "ocpi_emsp.testing.contract", "ocpi_emsp.testing.pytest_plugin"),
    "worker": ("ocpi_emsp.contrib.procrastinate",),
    "otel": ("ocpi_emsp.contrib.otel",),
    "django": ("ocpi_emsp.contrib.django",),
    "all": ("ocpi_emsp.contrib.procrastinate", "ocpi_emsp.contrib.otel", "ocpi_emsp.testing.local_cpo"),
    "docs": ("mkdocs", "sybil"),
    "dev": ("ocpi_emsp.contrib.django", "mypy", "schemathesis"),
}
"""What each extra lets be imported, in an environment that has this extra alone."""

nox.options.default_venv_backend = "uv"
nox.options.error_on_missing_interpreters = False  # also in CI, unless asked for
nox.options.sessions = ["bare", "readme", "extras", "image", "typing"]


@nox.session(python=PYTHONS)
def suite(session: nox.Session) -> None:
    """Run the tests of the source distribution against the installed wheel; arguments go to pytest."""
    _install(session, "dev")
    source = _unpacked(session)
    session.chdir(source)
    _is_installed(session)
    session.run("python", "-m", "pytest", "-n", "2", "--dist", "worksteal", *session.posargs)


@nox.session
def bare(session: nox.Session) -> None:
    """Run the example of the package's docstring without any extra."""
    _install(session)
    session.chdir(session.create_tmp())
    _is_installed(session)
    session.run("python", "-W", "error", "-c", "import doctest, ocpi_emsp; assert doctest.testmod(ocpi_emsp) == (0, 3)")
    session.run("ocpi-emsp", "--version")


@nox.session
def readme(session: nox.Session) -> None:
    """Run the first Python of the README with the extras of its first command."""
    text = (ROOT / "README.md").read_text("utf-8")
    (extras,) = re.findall(r"^pip install '\.\[([\w,]+)\]'$", text, re.MULTILINE)
    code = re.findall(r"^```python[^\n]*\n(.*?)^```$", text, re.MULTILINE | re.DOTALL)[0]
    _install(session, extras)
    session.chdir(session.create_tmp())
    _is_installed(session)
    Path("my_emsp.py").write_text(code, "utf-8")
    session.run("python", "-W", "error", "-c", "from my_emsp import app; assert callable(app)")


@nox.session
def extras(session: nox.Session) -> None:
    """Install each extra alone, and import what it is for."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["project"]
    assert EXTRAS.keys() == project["optional-dependencies"].keys(), "each extra has a line in EXTRAS"
    folder = Path(session.create_tmp()).resolve()
    for extra, modules in EXTRAS.items():
        place = folder / extra
        session.run_install("uv", "venv", "--quiet", "--clear", "--python", "python", str(place), external=True)
        python = str(place / "bin" / "python")
        wheel = f"{_wheel()}[{extra}]"
        options = ("--quiet", "--python", python, "--constraints", str(ROOT / ".ci" / "constraints.txt"))
        session.run_install("uv", "pip", "install", *options, wheel, external=True)
        session.chdir(folder)
        session.run(python, "-W", "error", "-c", f"import {', '.join(modules)}", external=True)


@nox.session
def image(session: nox.Session) -> None:
    """Do what docs/examples/deploy/Dockerfile does: its extras, its command on a database, and its health check."""
    folder = ROOT / "docs" / "examples" / "deploy"
    (extras,) = re.findall(r"\.whl\)\[([\w,]+)\]", (folder / "Dockerfile").read_text("utf-8"))
    _install(session, extras)
    session.chdir(session.create_tmp())
    _is_installed(session)
    Path("emsp.db").unlink(missing_ok=True)
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = str(free.getsockname()[1])
    settings = {
        "OCPI_EMSP_COUNTRY_CODE": "IT",
        "OCPI_EMSP_PARTY_ID": "BEC",
        "OCPI_EMSP_NAME": "Be Charge",
        "OCPI_EMSP_URL": "https://ocpi.example.com/ocpi/emsp",
        "OCPI_EMSP_STORE": "sqlite:///emsp.db",
        "PORT": port,
    }
    session.run("ocpi-emsp", "db", "upgrade", env=settings)
    session.run("ocpi-emsp", "worker", "--help", silent=True)
    program = Path(session.bin) / "ocpi-emsp"
    with subprocess.Popen([program, "serve", "--port", port], env=os.environ | settings) as server:
        try:
            asked = Path(session.bin) / "python", folder / "ready.py"
            for _ in range(60):
                if subprocess.run(asked, env=os.environ | settings, check=False).returncode == 0:
                    break
                time.sleep(0.5)
            else:
                session.error("the server is not ready after 30 seconds")
        finally:
            server.terminate()


@nox.session
def typing(session: nox.Session) -> None:
    """Check the typing tests of users against the wheel, with mypy and basedpyright."""
    _install(session, "httpx2,httpx,server,cli,sql,testing", "mypy", "basedpyright")
    source, folder = _unpacked(session), Path(session.create_tmp()).resolve() / "typing"
    shutil.rmtree(folder, ignore_errors=True)
    shutil.copytree(source / "tests" / "typing", folder)
    session.chdir(folder)
    _is_installed(session)
    session.run("mypy", "--strict", ".")
    (folder / "pyrightconfig.json").write_text(
        '{"typeCheckingMode": "strict", "enableTypeIgnoreComments": false,'
        ' "reportUnnecessaryTypeIgnoreComment": "error"}',
        "utf-8",
    )
    session.run("basedpyright", "--pythonpath", f"{session.bin}/python")


def _wheel() -> Path:
    (wheel,) = DIST.glob("*.whl")
    return wheel


def _install(session: nox.Session, extras: str = "", *more: str) -> None:
    """Install the wheel with these extras, in the versions that were tested."""
    wheel = f"{_wheel()}[{extras}]" if extras else str(_wheel())
    session.install("--constraints", str(ROOT / ".ci" / "constraints.txt"), wheel, *more)


def _unpacked(session: nox.Session) -> Path:
    """The folder of the source distribution, unpacked anew."""
    folder = Path(session.create_tmp()).resolve() / "source"
    shutil.rmtree(folder, ignore_errors=True)
    (packed,) = DIST.glob("*.tar.gz")
    with tarfile.open(packed) as opened:
        opened.extractall(folder, filter="data")
    (unpacked,) = folder.iterdir()
    return unpacked


def _is_installed(session: nox.Session) -> None:
    """Fail if what is imported is not what was installed."""
    session.run("python", "-c", "import ocpi_emsp as o, sys; assert o.__file__.startswith(sys.prefix), o.__file__")
