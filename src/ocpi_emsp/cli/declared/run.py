"""The arguments of what runs: serve, worker, simulate-cpo."""

from __future__ import annotations

import click

from ocpi_emsp.cli import options as o
from ocpi_emsp.cli.options import command, option


def serve(summary: str) -> click.Command:
    """``serve``."""
    memory = o.Setting(
        "--store",
        "the database, such as postgresql+psycopg://user@host/database, or memory",
        metavar="URL",
        default="sqlite:///ocpi-emsp.db",
        show_default=True,
    )
    return command(
        "serve",
        summary,
        *o.listening(8000),
        *o.identity,
        memory,
        o.flag("--auto-upgrade", "bring an older schema of the database up to date at the start"),
        o.repeated("--invite", "print the versions URL and a token A for this CPO, such as NL-TNM", type=o.party),
        o.flag("--no-push", "leave the pushing of changed tokens to a worker, or to push-tokens"),
        o.json,
    )


def simulate_cpo(summary: str) -> click.Command:
    """``simulate-cpo``."""
    counts = (
        ("locations", "locations"),
        ("evses", "EVSEs of each location"),
        ("sessions", "sessions"),
        ("cdrs", "CDRs"),
    )
    return command(
        "simulate_cpo",
        summary,
        *o.listening(0),
        option("--party", "who the CPO is (default: NL-TNM)", type=o.party),
        option("--token-a", "token of its invitation (default: random)", type=o.token),
        *(option(f"--{name}", f"how many {what}", type=o.count) for name, what in counts),
        option("--page-limit", "the most objects on a page (default: 10)", type=o.at_least_one),
        option("--preset", "a way in which real partners deviate; see --list-presets", metavar="NAME"),
        o.flag(
            "--follow-commands",
            "an accepted START_SESSION is followed by a session, an accepted STOP_SESSION ends it and sends its CDR",
        ),
        o.flag("--list-presets", "print the names of the presets, one a line, and end"),
        epilog="docs/simulated-cpo.md says what each preset does, what a good client makes of it, and how to change "
        "the CPO while it runs.",
    )


def worker(summary: str) -> click.Command:
    """``worker``."""
    return command(
        "worker",
        summary,
        option(
            "--period",
            "each party and module is synced once in this time, such as 90m, 4h or 1d",
            type=o.duration,
            default="4h",
        ),
        option(
            "--full-every",
            "how often a sync lists everything, and marks what a CPO no longer lists; or never",
            type=o.duration_or_never,
            default="7d",
        ),
        option("--concurrency", f"how many syncs at once, up to {o.MOST_CONNECTIONS}", type=o.connections, default=4),
        option(
            "--take-over-after", "run the jobs of a worker that was silent for so long", type=o.duration, default="30s"
        ),
        o.flag("--upgrade", "first create what is missing: our schema, and the tables of Procrastinate"),
        o.store,
        o.flag("--json", "print JSON lines on stdout: one at the start, one for each sync that ends"),
        *o.identity,
        epilog="The store is on PostgreSQL; any number of workers share one, all with the same times. SIGTERM and "
        "Ctrl-C end one in order: a sync stops after its current page, and another worker goes on with it. "
        "docs/worker.md says what is guaranteed and how to look at the jobs. Exit status: 0 ended by a signal; 2 "
        "usage; 3 the database cannot be used, or the reader of the output went away.",
    )
