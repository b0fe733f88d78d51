"""The arguments of the commands that keep running: demo, serve, worker, simulate-cpo."""

from __future__ import annotations

from ocpi_emsp.cli import options as o
from ocpi_emsp.cli.given_secrets import token_options
from ocpi_emsp.cli.options import command, option

demo = command("demo", "demo", "Play the whole support matrix with two simulated CPOs, over HTTP.", o.json)
serve = command(
    "serve",
    "serve",
    "Serve an eMSP on a database.",
    *o.listening(8000),
    *o.identity,
    *o.details,
    o.database("the database, such as postgresql+psycopg://user@host/database, or memory"),
    o.flag("--auto-upgrade", "bring an older schema of the database up to date at the start"),
    o.repeated("--invite", "print the versions URL and a token A for this CPO, such as NL-TNM", type=o.party),
    option("--connections", "connections at once, at most; further ones are closed", type=o.at_least_one, default=500),
    o.repeated(
        "--forwarded", "trust X-Forwarded-For of proxies in this network, such as 10.0.0.0/8", metavar="NETWORK"
    ),
    o.keeps,
    o.audits,
    o.flag("--laptop", "try it on this machine: write ocpi-emsp.toml with an example eMSP unless it exists"),
    o.flag("--no-push", "do not push changed tokens: a worker or push-tokens does"),
    o.json,
)


simulate_cpo = command(
    "simulate_cpo",
    "simulate-cpo",
    "Run a simulated CPO; it prints one JSON line when it listens.",
    *o.listening(0),
    option("--party", "party of the CPO (default: NL-TNM)", type=o.party),
    *token_options("--token-a", "token of its invitation (default: random)"),
    option("--invitation", "write versions URL and token of its invitation also to this file", metavar="FILE"),
    option("--locations", "number of locations", type=o.count),
    option("--evses", "number of EVSEs per location", type=o.count),
    option("--sessions", "number of sessions", type=o.count),
    option("--cdrs", "number of CDRs (default: 4; with --preset overcharging one of each kind)", type=o.count),
    option("--session-seconds", "end each session after this many seconds, and send its CDR", type=o.seconds),
    option("--page-limit", "objects on a page, at most (default: 10)", type=o.at_least_one),
    option("--preset", "deviate as some real partners do; see --list-presets", metavar="NAME"),
    option(
        "--follow-commands/--no-follow-commands",
        "push a session after an accepted START_SESSION, end it and send its CDR after an accepted STOP_SESSION",
        default=True,
    ),
    o.flag("--list-presets", "print the names of the presets, one per line, and exit"),
    epilog="docs/how-to/simulated-cpo.md describes each preset, what a correct client does with it, and how to "
    "change the CPO while it runs.",
)


worker = command(
    "worker",
    "worker",
    "Sync CPOs as jobs in PostgreSQL, beside other workers.",
    option(
        "--period",
        "sync each party and module once in this time, such as 90m, 4h or 1d",
        type=o.duration,
        default="4h",
    ),
    option(
        "--full-every",
        "how often a sync lists everything, and marks what a CPO no longer lists; or never",
        type=o.duration_or_never,
        default="7d",
    ),
    option("--concurrency", f"syncs at once, up to {o.MOST_CONNECTIONS}", type=o.connections, default=4),
    option("--take-over-after", "take over the jobs of a worker silent for this long", type=o.duration, default="30s"),
    o.flag("--upgrade", "first create what is missing: our schema, and the tables of Procrastinate"),
    o.keeps,
    o.audits,
    o.store,
    o.flag("--json", "print JSON lines on stdout: one at the start, one for each sync that ends"),
    *o.identity,
    epilog="The store has to be on PostgreSQL. Any number of workers can share it, with the same times. On SIGTERM "
    "and Ctrl-C a sync stops after its current page, and another worker continues it. docs/how-to/worker.md "
    "describes the guarantees, and how to look at the jobs. Exit status: 0 ended by a signal; 2 "
    "usage; 3 the database cannot be used, or the reader of the output went away.",
)
