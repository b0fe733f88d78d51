"""What people type into the search of the site, and the page that answers it.

Rules of this module:
- the search finds what has every word, so a page gets the words that people have for its subject, and the questions of
  the first page that it answers, as tags: they count more than titles, and are shown with the result;
- ``make docs-check`` types each of them, and looks for the page among the first results.
"""

from __future__ import annotations

import re
from functools import cache
from pathlib import Path
from typing import Final

PHRASES: Final = {
    "start/without-tls.md": (
        "try without https",
        "self-signed certificate localhost",
        "run locally without TLS",
        "http localhost partner",
    ),
    "start/first-charge.md": ("start a charging session", "remote start stop"),
    "start/glossary.md": ("what is an EVSE", "token A B C meaning", "what does eMSP mean", "CPO abbreviation"),
    "how-to/mount.md": ("add to an existing app", "integrate in fastapi flask", "router middleware"),
    "how-to/fastapi.md": ("fastapi sqlalchemy", "fastapi test", "start session endpoint"),
    "how-to/django.md": ("django test hangs", "django settings urls migrate", "django management command"),
    "how-to/background-work.md": (
        "background worker process",
        "what processes do I need",
        "why are my listeners not called",
        "events are not delivered",
        "scheduler thread",
    ),
    "how-to/read-what-came-in.md": (
        "read locations from database",
        "get received sessions",
        "list cdrs",
        "EVSE status available",
        "read what came in",
        "replay rejections",
        "rejected objects",
    ),
    "how-to/test-your-backend.md": ("unit test", "pytest fixture", "mock CPO", "fake charge point"),
    "how-to/deploy.md": ("docker", "kubernetes", "deploy to production", "nginx reverse proxy", "health check"),
    "reference/settings.md": ("config file", "toml example", "environment variables", "configuration options"),
    "how-to/transactions.md": (
        "sqlalchemy session transaction",
        "rollback",
        "commit together with my own tables",
        "atomic unit of work",
    ),
    "how-to/async-or-sync.md": ("async await", "asyncio", "blocking call in event loop"),
    "how-to/switch-a-matrix-row.md": (
        "disable an endpoint",
        "enable unlock connector",
        "support matrix change",
        "HTTP 405 method not allowed",
    ),
    "how-to/register.md": ("register multiple workers", "register CPO", "handshake fails"),
    "reference/index.md": ("api reference", "reference documentation"),
    "how-to/two-emsps.md": ("two eMSPs", "multi tenant", "several brands", "multiple party ids"),
    "how-to/ocpi-2.2.md": ("OCPI 2.2.1 support", "version 2.2", "OCPI 2.3"),
    "how-to/authorization.md": ("refuse a driver", "real-time authorization", "block a card"),
    "how-to/postgresql.md": ("upgrade database schema", "migrations alembic"),
    "how-to/observability.md": ("prometheus metrics", "logging", "alerts grafana"),
    "how-to/sync-on-many-machines.md": ("celery beat", "cron", "procrastinate"),
    "how-to/redact.md": ("hide personal data", "anonymize payload", "GDPR"),
    "how-to/check-files.md": ("validate a json file", "lint payload"),
    "how-to/secrets.md": ("encryption key", "rotate key"),
    "how-to/audit-bills.md": ("invoice CDR wrong price", "verify costs"),
    "how-to/commands.md": ("unlock reserve start stop command", "command timeout"),
    "how-to/query.md": ("query the tables", "own SQL"),
    "how-to/retention.md": ("delete old data", "clean up prune"),
    "how-to/command-line.md": ("what can the command do", "cli commands", "shell completion"),
    "how-to/storage.md": ("sqlite or postgresql", "which database"),
}
"""Phrases, by the page that answers them."""
_BOOSTS: Final = {
    "start/": 2,
    "how-to/": 2,
    "reference/api/": 0.4,
    "architecture.md": 0.5,
    "reference/changelog.md": 0.3,
}
"""How much more, or less, a page counts than others: a task comes before a signature."""


_ROW: Final = re.compile(r"^\| (.+)\? \| (.+) \|$", re.MULTILINE)
_LINK: Final = re.compile(r"\]\(([\w./-]+\.md)\)")


@cache
def _questions() -> list[tuple[str, str]]:
    """The questions of the first page, each with a page that answers it."""
    index = (Path(__file__).parents[1] / "index.md").read_text("utf-8")
    return [(page, question) for question, links in _ROW.findall(index) for page in _LINK.findall(links)]


def searchable(page: str, markdown: str) -> str:
    """The text of a page with what the search alone reads, as mkdocs-material takes it."""
    boost = next((found for start, found in _BOOSTS.items() if page.startswith(start)), 1)
    phrases = [*PHRASES.get(page, ()), *(question for answer, question in _questions() if answer == page)]
    tags = "".join(f"  - {phrase.replace('`', '')}\n" for phrase in phrases)
    head = f"search:\n  boost: {boost}\n" + (f"tags:\n{tags}" if tags else "")
    return f"---\n{head}---\n{markdown}"
