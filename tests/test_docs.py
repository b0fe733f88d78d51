"""The documentation is executed: README's Python runs against a real CPO over HTTP, tables equal their source."""

from __future__ import annotations

import re
import socket
from pathlib import Path
from typing import Any

import anyio
import pytest
from attrs import fields_dict

import audit_codes
import site_pages
from ocpi_emsp import SupportMatrix
from ocpi_emsp.events import EVENTS, Event
from ocpi_emsp.testing.cpo import SimulatedCpo
from ocpi_emsp.testing.cpo.server import serving
from served.support import uvicorn_server

ROOT = Path(__file__).parent.parent


def python_blocks(text: str) -> list[str]:
    return re.findall(r"^```python\n(.*?)^```", text, re.MULTILINE | re.DOTALL)


def test_the_readme_runs(capsys: pytest.CaptureFixture[str]) -> None:
    anyio.run(_run_readme)
    printed = capsys.readouterr().out
    assert "/ocpi/emsp/versions\n" in printed, "the invitation"
    assert "LOC1 " in printed, "a location that was pulled"
    assert printed.count("ACCEPTED\n") == 2, "the acknowledgement and the result of START_SESSION"
    assert re.search(r"^command \S+ led to session SES-", printed, re.MULTILINE), "the listener"
    assert re.search(r"^CDR-\S+: \S+ EUR$", printed, re.MULTILINE), "the CDR of that session"
    assert "error /last_updated 'yesterday' is not a timestamp" in printed
    (bill,) = re.findall(
        r"^```text\n(right .*?)^```", (ROOT / "README.md").read_text("utf-8"), re.MULTILINE | re.DOTALL
    )
    assert bill in printed, "the audit of CDR1"
    assert "TNM\n" in printed, "the report of what was received"


async def _run_readme() -> None:
    listener = socket.socket()
    listener.bind(("127.0.0.1", 0))
    base = f"http://127.0.0.1:{listener.getsockname()[1]}/ocpi/emsp"
    cpo = SimulatedCpo(country_code="NL", party_id="TNM")
    async with serving(cpo):
        invitation = cpo.invite()
        setup, *rest = [
            block.replace('url="https://ocpi.example.com/ocpi/emsp"', f'url="{base}", url_policy="loopback"')
            .replace("https://cpo.example.com/ocpi/cpo/versions", invitation.versions_url)
            .replace("their-token-a", invitation.token_a)
            for block in python_blocks((ROOT / "README.md").read_text("utf-8"))
        ]
        names: dict[str, Any] = {}
        exec(compile(setup, "README.md", "exec"), names)
        with uvicorn_server(names["app"], listener, lifespan="auto"):
            for block in rest:
                await anyio.to_thread.run_sync(exec, compile(block, "README.md", "exec"), names)
            await cpo.wait_idle()


def test_the_published_matrix_is_the_one_in_the_docs() -> None:
    published = (ROOT / "docs" / "reference" / "support-matrix.md").read_text("utf-8")
    assert published.endswith(SupportMatrix.default().to_markdown())


@pytest.mark.parametrize(
    "page",
    [
        "README.md",
        "CHANGELOG.md",
        ".github/SECURITY.md",
        *sorted(str(page.relative_to(ROOT)) for page in (ROOT / "docs").rglob("*.md")),
    ],
)
def test_links_lead_somewhere(page: str) -> None:
    path = ROOT / page
    for target in re.findall(r"\]\(([^)#]+)(?:#[^)]*)?\)", path.read_text("utf-8")):
        if not target.startswith("https://"):
            assert (path.parent / target).exists(), target


def test_the_reasons_of_audits_are_those_in_the_docs() -> None:
    page = audit_codes.PAGE.read_text("utf-8")
    assert audit_codes.with_tables(page) == page, "python docs/tools/audit_codes.py"


def test_every_event_is_in_the_docs() -> None:
    rows = re.findall(
        r"^\| `(\w+)` \| (.+) \| (.+) \|$", (ROOT / "docs" / "reference" / "events.md").read_text("utf-8"), re.MULTILINE
    )
    said = {name: set(re.findall(r"`(\w+)`", says)) for name, _, says in rows if name in EVENTS}
    assert said == {name: set(fields_dict(kind)) - set(fields_dict(Event)) for name, kind in EVENTS.items()}


def test_files_named_in_spec_choices_exist() -> None:
    text = (ROOT / "docs" / "spec-choices.md").read_text("utf-8")
    named = {name for name in re.findall(r"`([a-z_/]+\.(?:py|json))`", text) if "/" in name}
    for name in sorted(named):
        base = ROOT if name.startswith("tests/") else ROOT / "src" / "ocpi_emsp"
        assert (base / name).exists(), name


@pytest.mark.parametrize(
    ("source", "link", "leads_to"),
    [
        ("docs/how-to/sync.md", "../reference/events.md", "../reference/events.md"),
        ("docs/how-to/serving.md", "../../bench/results.md#load", "../explanation/measurements.md#load"),
        ("docs/CONTRIBUTING.md", "../.github/SECURITY.md", "security-policy.md"),
        ("CHANGELOG.md", "docs/architecture.md", "../architecture.md"),
        (".github/SECURITY.md", "../docs/explanation/security.md", "explanation/security.md"),
        ("docs/index.md", "https://example.com/a.md", "https://example.com/a.md"),
    ],
)
def test_links_of_the_repository_become_links_of_the_site(source: str, link: str, leads_to: str) -> None:
    assert site_pages.with_site_links(f"[x]({link})", source) == f"[x]({leads_to})"
