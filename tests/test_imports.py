"""The arrows between modules, read from the source: an import points upwards in LAYERS, or it is a mistake.

So do the packages of others: each optional one is imported where ALLOWED says, and the core runs without any extra.
"""

import ast
import re
import subprocess
import sys
from collections.abc import Iterator, Mapping
from functools import cache
from graphlib import CycleError, TopologicalSorter
from pathlib import Path
from typing import NamedTuple

import pytest

SRC = Path(__file__).parent.parent / "src"
PACKAGE = "ocpi_emsp"

LAYERS = (
    "_version",
    "_extras",
    "logs",
    "findings",
    "errors",
    "scalars",
    "party_id",
    "secret",
    "url_policy",
    "models",
    "codec",
    "pricing.exact",
    "pricing.readings",
    "pricing.reasons",
    "pricing.result",
    "pricing.currencies",
    "pricing.places",
    "pricing.session",
    "pricing.reckoning",
    "pricing.verdict",
    "pricing.plausibility",
    "pricing",  # documents in; what it reckons with is PURE
    "check",
    "redact",
    "report",
    "wire",
    "support",
    "routes",
    "records",
    "ports",
    "events",
    "_bridge",
    "_hooks",
    "_pieces",
    "_batches",
    "_beside",
    "_wake_ups",
    "storage",  # it knows no flow
    "flows.core",
    "flows.parties",
    "flows.calls",
    "flows.events",
    "flows.inbound",
    "flows.cdrs",
    "flows.commands",
    "flows.credentials",
    "flows.locations",
    "flows.tariffs",
    "flows.tokens",
    "flows.sessions",
    "flows.serving",
    "flows.sync",
    "flows.partner_health",
    "flows",  # the package itself
    "openapi",
    "settings",
    "_rate_limiter",
    "_inbound_gate",
    "transports",
    "background",
    "_command_waiter",
    "listing",
    "resources",
    "adapters",
    "_arguments",
    "emsp",
    "types",
    "",  # the package itself: the names for users
    "testing",
    "cli",
    "contrib",
    "cli.worker",  # runs what hosts of their own run with contrib
    "testing.pytest_plugin",  # reads payload files as the command does
    "__main__",
)
"""From the top down. A module belongs to the longest entry that it is, or lies below of."""

PURE = frozenset({"errors", "findings", "scalars", "models", "pricing"})
"""All that pricing knows: models in, plain data out. The thin door that takes bytes may import the codec as well."""
DOORS_OF_PRICING = frozenset({"pricing", "pricing.documents"})

RUNTIMES = {"asyncio", "anyio", "concurrent", "httpx", "httpx2", "socket", "sqlalchemy", "threading", "time"}
"""What no flow knows: it comes through a port."""

EVERYWHERE = {"attrs", "msgspec"}
ALLOWED: Mapping[str, tuple[str, ...]] = {
    "_typeshed": ("adapters.wsgi",),
    "anyio": (
        "_bridge",
        "storage.sql.on_loop",
        "_hooks",
        "_pieces",
        "_batches",
        "_rate_limiter",
        "_inbound_gate",
        "background",
        "cli.sync_run",
        "testing.contract",
        "testing.applications",
        "testing.backend",
        "testing.cpo",
        "testing.local_cpo",
    ),
    "cattrs": ("codec.encode",),
    "click": ("cli",),
    "dateutil": ("codec.readings", "codec.zones"),
    "idna": ("url_policy",),
    # extras
    "httpx2": ("transports.library",),
    "httpx": (),
    "httpcore2": (),
    "httpcore": (),
    "opentelemetry": ("contrib.otel",),
    "procrastinate": ("contrib.procrastinate", "cli.worker"),
    "psycopg": ("storage.sql.direct", "storage.sql.awaiting", "contrib.procrastinate", "cli.worker"),
    "asgiref": ("contrib.django",),
    "django": ("contrib.django", "testing.local_cpo.django"),
    "cryptography": ("storage.secrets",),
    "alembic": ("storage.migrations",),
    "hypothesis": (
        "testing.strategies",
        "testing.strategies_hook",
        "testing.payloads",
        "testing.backend",
        "testing.contract.machine",
    ),
    "pytest": ("testing.contract", "testing.pytest_plugin", "testing.backend"),
    "rich": ("cli",),
    "sqlalchemy": ("storage.sql", "storage.migrations"),
    "starlette": ("testing.cpo", "testing.local_cpo"),
    "h11": ("cli.connections_h11",),
    "httptools": (),
    "uvloop": ("cli.server",),
    "uvicorn": ("testing.cpo.server", "cli"),
    "waitress": (),
}
"""Which modules import a package of others; a package that is not here is no dependency of this one."""
EXTRAS = (
    "alembic",
    "asgiref",
    "cryptography",
    "django",
    "h11",
    "httpcore",
    "httpcore2",
    "httptools",
    "httpx",
    "httpx2",
    "hypothesis",
    "opentelemetry",
    "procrastinate",
    "psycopg",
    "pytest",
    "rich",
    "sqlalchemy",
    "starlette",
    "uvicorn",
    "uvloop",
    "waitress",
)


class Arrow(NamedTuple):
    """An import: where it points to, and where it stands."""

    target: str
    line: int


@cache
def modules() -> Mapping[str, str]:
    """The source of every module, by its name below the package."""
    found = {}
    for path in sorted((SRC / PACKAGE).rglob("*.py")):
        parts = path.relative_to(SRC / PACKAGE).with_suffix("").parts
        found[".".join(parts).removesuffix("__init__").removesuffix(".")] = path.read_text("utf-8")
    return found


@cache
def imports(source: str) -> list[ast.Import | ast.ImportFrom]:
    """The import statements of a module, at its top or inside it."""
    return [node for node in ast.walk(ast.parse(source)) if isinstance(node, ast.Import | ast.ImportFrom)]


def arrows(source: str, known: Mapping[str, str]) -> Iterator[Arrow]:
    """Every import of a module, at its top or inside it. Ours by their name below the package."""
    for node in imports(source):
        if isinstance(node, ast.Import):
            yield from (Arrow(below(alias.name), node.lineno) for alias in node.names)
        else:
            base = "." * node.level + (node.module or "")
            for alias in node.names:
                name = f"{below(base)}.{alias.name}" if below(base) != ":" else f":{alias.name}"
                is_module = name.startswith(":") and name.removeprefix(":") in known
                yield Arrow(name if is_module else below(base), node.lineno)


def below(name: str) -> str:
    """``ocpi_emsp.codec`` as ``:codec``; any other name as it is."""
    if name == PACKAGE or name.startswith(PACKAGE + "."):
        return ":" + name.removeprefix(PACKAGE).removeprefix(".")
    return name


def lies_in(module: str, place: str) -> bool:
    return module == place or module.startswith(place + ".")


def layer(module: str) -> int:
    """The number of a module's layer. Raises ValueError for a module without one."""
    found = [place for place in LAYERS if (lies_in(module, place) if place else module == "")]
    if not found:
        raise ValueError(f"{module} has no layer: enter it in LAYERS")
    return LAYERS.index(max(found, key=len))


def problems(module: str, source: str, known: Mapping[str, str]) -> list[str]:
    """What is wrong with the imports of one module."""
    return [
        f"{module}:{arrow.line} imports {arrow.target.removeprefix(':') or PACKAGE}: {reason}"
        for arrow in arrows(source, known)
        if (reason := problem(module, arrow.target, known))
    ]


def problem(module: str, target: str, known: Mapping[str, str]) -> str | None:
    """Why a module may not import this, or None."""
    if target.startswith("."):
        return "an import is absolute"
    if target.startswith(":"):
        return problem_of_ours(module, target.removeprefix(":"), known)
    package = target.partition(".")[0]
    if lies_in(module, "flows") and package in RUNTIMES:
        return "a flow knows no runtime"
    if package in sys.stdlib_module_names or package in EVERYWHERE:
        return None
    if package not in ALLOWED:
        return "it is no dependency"
    allowed = any(lies_in(module, place) for place in ALLOWED[package])
    return None if allowed else f"only {', '.join(ALLOWED[package]) or 'nobody'} may"


def problem_of_ours(module: str, target: str, known: Mapping[str, str]) -> str | None:
    if target not in known:
        return "there is no such module"
    if lies_in(module, "testing.cpo") and not lies_in(target, "testing.cpo") and target != "transports.library":
        return "the simulated CPO shares no code with what it tests"
    if layer(target) > layer(module):
        return "it points downwards"
    is_private = lies_in(target, "flows") or (target[:1] == "_" and target != "_extras")
    if is_private and any(lies_in(module, place) for place in ("contrib", "cli")):
        return "contrib and cli use the public API only"
    return None


# --- the source as it is --------------------------------------------------------------------------------------------


def test_imports_point_upwards_and_stay_where_they_may() -> None:
    known = modules()
    assert [found for module, source in known.items() for found in problems(module, source, known)] == []


def circle(known: Mapping[str, str]) -> list[str]:
    """Modules that import each other in a circle; none where there is no circle."""
    graph = {
        module: {arrow.target.removeprefix(":") for arrow in arrows(source, known) if arrow.target.startswith(":")}
        for module, source in known.items()
    }
    try:
        TopologicalSorter(graph).prepare()
    except CycleError as error:
        return list(error.args[1])
    return []


def impure(source: str, known: Mapping[str, str]) -> list[str]:
    """What a module of pricing imports and must not."""
    ours = (arrow.target.removeprefix(":") for arrow in arrows(source, known) if arrow.target.startswith(":"))
    return [target for target in ours if not any(lies_in(target, place) for place in PURE)]


def test_prices_are_reckoned_from_models_alone() -> None:
    known = modules()
    pricing = {name for name in known if lies_in(name, "pricing")} - DOORS_OF_PRICING
    assert len(pricing) > 20
    assert {name: found for name in sorted(pricing) if (found := impure(known[name], known))} == {}
    assert impure("from ocpi_emsp.codec import decode", {"codec": ""}) == ["codec"]


def test_no_modules_import_each_other_in_a_circle() -> None:
    assert circle(modules()) == []


def test_every_layer_has_a_module() -> None:
    assert {LAYERS[layer(module)] for module in modules()} == set(LAYERS)


def test_the_documented_order_of_the_flows_is_that_of_the_layers() -> None:
    folders = [place.removeprefix("flows.") for place in LAYERS if place.startswith("flows.")]
    page = (SRC.parent / "docs" / "explanation" / "architecture.md").read_text("utf-8")
    (drawn,) = re.findall(r"```text\n(core < .*?)```", page, re.DOTALL)
    assert drawn.replace("<", " ").split() == folders


# --- the test itself ------------------------------------------------------------------------------------------------

KNOWN = dict.fromkeys(
    ["", "findings", "codec", "codec.rules", "wire", "flows.core.context", "flows.cdrs.inbound", "resources.client",
     "testing", "testing.cpo", "testing.cpo.wire", "transports.library",
     "testing.contract", "emsp", "cli.demo", "contrib.otel", "_bridge"],
    "",
)  # fmt: skip


@pytest.mark.parametrize(
    ("module", "source", "reason"),
    [
        ("codec", "from ocpi_emsp.wire import Request", "downwards"),
        ("codec", "import ocpi_emsp.wire", "downwards"),
        ("codec", "from ocpi_emsp import wire", "downwards"),
        ("codec", "from ocpi_emsp import Emsp", "downwards"),
        ("codec", "def late():\n    from ocpi_emsp import Emsp", "downwards"),
        ("codec", "if TYPE_CHECKING:\n    from ocpi_emsp.wire import Request", "downwards"),
        ("codec.rules", "from ocpi_emsp.emsp import Emsp", "downwards"),
        ("flows.core.context", "from ocpi_emsp.flows.cdrs import inbound", "downwards"),
        ("emsp", "from ocpi_emsp.testing.cpo import SimulatedCpo", "downwards"),
        ("", "from ocpi_emsp import testing", "downwards"),
        ("testing", "from ocpi_emsp.cli.demo import run", "downwards"),
        ("testing.cpo.wire", "from ocpi_emsp.codec import decode", "shares no code"),
        ("contrib.otel", "from ocpi_emsp.flows.core.context import Context", "public API"),
        ("contrib.otel", "from ocpi_emsp._bridge import run", "public API"),
        ("cli.demo", "from ocpi_emsp.flows.cdrs import inbound", "public API"),
        ("codec", "from ocpi_emsp.nothing import x", "no such module"),
        ("codec", "from . import rules", "absolute"),
        ("codec", "from .rules import X", "absolute"),
        ("flows.cdrs.inbound", "import asyncio", "no runtime"),
        ("flows.cdrs.inbound", "from time import sleep", "no runtime"),
        ("flows.cdrs.inbound", "import httpx", "no runtime"),
        ("flows.cdrs.inbound", "import anyio.to_thread", "no runtime"),
        ("resources.client", "import httpx2", "only transports.library"),
        ("transports.httpx", "import httpx", "only nobody"),
        ("resources.client", "import uvicorn", "only testing.cpo.server"),
        ("emsp", "def asgi():\n    import starlette", "only testing.cpo"),
        ("emsp", "def wsgi():\n    import waitress", "only nobody"),
        ("testing.cpo", "import pytest", "only testing.contract"),
        ("codec", "import orjson", "no dependency"),
    ],
)
def test_a_planted_import_is_found(module: str, source: str, reason: str) -> None:
    (found,) = problems(module, source, KNOWN)
    assert reason in found
    assert found.startswith(f"{module}:{source.count(chr(10)) + 1} imports ")


@pytest.mark.parametrize(
    ("module", "source"),
    [
        ("wire", "from ocpi_emsp.codec import decode\nfrom ocpi_emsp.findings import Finding"),
        ("codec", "from ocpi_emsp.codec import rules\nfrom ocpi_emsp.codec.rules import X"),
        ("codec.rules", "import re, json\nfrom attrs import frozen\nimport msgspec"),
        ("emsp", "import threading\nfrom ocpi_emsp.resources import client"),
        ("testing.contract", "import pytest\nimport anyio\nfrom ocpi_emsp.wire import Request"),
        ("testing.cpo.wire", "from ocpi_emsp.testing import cpo\nfrom ocpi_emsp.transports.library import http"),
        ("cli.demo", "from ocpi_emsp import Emsp\nfrom ocpi_emsp.testing.cpo import SimulatedCpo\nimport rich.table"),
    ],
)
def test_a_right_import_is_not(module: str, source: str) -> None:
    assert problems(module, source, KNOWN) == []


def test_a_planted_circle_is_found() -> None:
    sources = {
        "codec": "from ocpi_emsp.codec import a",
        "codec.a": "from ocpi_emsp.codec import b",
        "codec.b": "def late():\n    from ocpi_emsp.codec.a import x",
    }
    assert set(circle(sources)) == {"codec.a", "codec.b"}


def test_a_module_without_a_layer_is_found() -> None:
    with pytest.raises(ValueError, match="enter it in LAYERS"):
        layer("newcomer")


# --- without any extra ----------------------------------------------------------------------------------------------

_BLOCKED = """
import sys

class Blocker:
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] in {blocked!r}:
            raise ModuleNotFoundError(f"No module named {{name!r}}", name=name)

sys.meta_path.insert(0, Blocker())
"""


def python(code: str) -> str:
    """What an interpreter without the extras prints that runs ``code``."""
    script = _BLOCKED.format(blocked=EXTRAS) + code
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=False, timeout=60)
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_the_core_imports_without_any_extra() -> None:
    needs_an_extra = {place for extra in EXTRAS for place in ALLOWED[extra]} | {"cli", "__main__"}
    core = [name for name in modules() if not any(lies_in(name, place) for place in needs_an_extra)]
    names = [f"{PACKAGE}.{name}".rstrip(".") for name in core]
    assert len(names) > 50
    printed = python(
        f"import importlib\nfor name in {names!r}: importlib.import_module(name)\n"
        "import ocpi_emsp\nfor name in ocpi_emsp.__all__: getattr(ocpi_emsp, name)\nprint('imported')"
    )
    assert printed == "imported\n"


def test_without_an_http_library_an_emsp_serves_and_a_call_says_what_to_install() -> None:
    printed = python(
        "from ocpi_emsp import Emsp\n"
        "from ocpi_emsp.wire import Request\n"
        "emsp = Emsp(country_code='IT', party_id='BEC', name='Be Charge', url='https://emsp.test/x', store='memory')\n"
        "token = emsp.parties.invite('NL-TNM').token_a.reveal()\n"
        "headers = {'authorization': f'Token {token}'}\n"
        "print(emsp.handle(Request('GET', '/versions', headers=headers)).status)\n"
        "try: emsp.parties.register('https://cpo.test/versions', token_a='A')\n"
        "except ModuleNotFoundError as error: print(error)"
    )
    assert printed == (
        "200\ncalls to partners need httpx2 or httpx, and neither is installed: pip install 'ocpi-emsp[httpx2]' "
        "(or 'ocpi-emsp[httpx]')\n"
    )


@pytest.mark.parametrize(
    ("imported", "extra"),
    [
        ("from ocpi_emsp.storage import SqlStore", "sql"),
        ("from ocpi_emsp.storage import FernetBox", "sql"),
        ("import ocpi_emsp.contrib.otel", "otel"),
        ("import ocpi_emsp.contrib.procrastinate", "worker"),
        ("import ocpi_emsp.testing.backend", "testing"),
        ("import ocpi_emsp.testing.contract", "testing"),
        ("import ocpi_emsp.testing.payloads", "testing"),
        ("import ocpi_emsp.testing.strategies", "testing"),
    ],
)
def test_without_an_extra_the_error_says_how_to_install_it(imported: str, extra: str) -> None:
    assert f"is not installed: pip install 'ocpi-emsp[{extra}]'\n" in python(
        f"try: {imported}\nexcept ModuleNotFoundError as error: print(error)"
    )


def test_checking_a_document_loads_neither_an_http_client_nor_a_store() -> None:
    printed = python(
        "import ocpi_emsp\n"
        "report = ocpi_emsp.check(b'{}', ocpi_emsp.Location)\n"
        "loaded = {'httpx', 'httpx2', 'anyio', 'ocpi_emsp.emsp', 'ocpi_emsp.storage'} & set(sys.modules)\n"
        "print(report.ok, sorted(loaded))"
    )
    assert printed == "False []\n"


@pytest.mark.parametrize(
    ("imported", "unused"),
    [
        ("import ocpi_emsp.wire", "pricing"),
        ("import ocpi_emsp.report", "pricing"),
        ("import ocpi_emsp.events", "pricing.documents"),
    ],
)
def test_prices_are_loaded_where_they_are_reckoned(imported: str, unused: str) -> None:
    assert python(f"{imported}\nprint('ocpi_emsp.{unused}' in sys.modules)") == "False\n"
