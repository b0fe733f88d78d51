"""The arguments of what runs: demo, serve, worker, simulate-cpo."""

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
    option("--connections", "how many connections at once; further ones are closed", type=o.at_least_one, default=500),
    o.repeated(
        "--forwarded", "believe X-Forwarded-For of the proxies in this network, such as 10.0.0.0/8", metavar="NETWORK"
    ),
    o.keeps,
    o.audits,
    o.flag("--laptop", "try it on this machine: write ocpi-emsp.toml with an example eMSP unless it exists"),
    o.flag("--no-push", "leave the pushing of changed tokens to a worker, or to push-tokens"),
    o.json,
)


simulate_cpo = command(
    "simulate_cpo",
    "simulate-cpo",
    "Run a simulated CPO; it prints one JSON line when it listens.",
    *o.listening(0),
    option("--party", "who the CPO is (default: NL-TNM)", type=o.party),
    *token_options("--token-a", "token of its invitation (default: random)"),
    option("--invitation", "write versions URL and token of its invitation to this file, too", metavar="FILE"),
    option("--locations", "how many locations", type=o.count),
    option("--evses", "how many EVSEs of each location", type=o.count),
    option("--sessions", "how many sessions", type=o.count),
    option("--cdrs", "how many CDRs (default: 4; with --preset overcharging one of each kind)", type=o.count),
    option("--session-seconds", "end each session by itself after so long, and send its CDR", type=o.seconds),
    option("--page-limit", "the most objects on a page (default: 10)", type=o.at_least_one),
    option("--preset", "a way in which real partners deviate; see --list-presets", metavar="NAME"),
    option(
        "--follow-commands/--no-follow-commands",
        "push a session after an accepted START_SESSION, end it and send its CDR after an accepted STOP_SESSION",
        default=True,
    ),
    o.flag("--list-presets", "print the names of the presets, one a line, and end"),
    epilog="docs/how-to/simulated-cpo.md says what each preset does, what a good client makes of it, and how to change "
    "the CPO while it runs.",
)


worker = command(
    "worker",
    "worker",
    "Sync CPOs as jobs in PostgreSQL, beside other workers.",
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
    option("--take-over-after", "run the jobs of a worker that was silent for so long", type=o.duration, default="30s"),
    o.flag("--upgrade", "first create what is missing: our schema, and the tables of Procrastinate"),
    o.keeps,
    o.audits,
    o.store,
    o.flag("--json", "print JSON lines on stdout: one at the start, one for each sync that ends"),
    *o.identity,
    epilog="The store is on PostgreSQL; any number of workers share one, all with the same times. SIGTERM and "
    "Ctrl-C end one in order: a sync stops after its current page, and another worker goes on with it. "
    "docs/how-to/worker.md says what is guaranteed and how to look at the jobs. Exit status: 0 ended by a signal; 2 "
    "usage; 3 the database cannot be used, or the reader of the output went away.",
)
