"""The arguments of the checks and reports."""

from __future__ import annotations

import click

from ocpi_emsp.cli import options as o
from ocpi_emsp.cli.options import Argument, command, option

_REPORTS = o.formats("text", "json", "markdown", "html")

check = command(
    "check",
    "check",
    "Check payloads against OCPI 2.1.1.",
    Argument(
        "paths",
        "a file with an object, a list, an envelope or JSON lines, a HAR file (*.har), or a folder with such "
        "files; - is standard input",
        nargs=-1,
        required=True,
        metavar="PATH...",
    ),
    option("--as kind", "the kind of object, such as location (default: guessed)", metavar="KIND"),
    o.choice("--policy", "tolerant refuses errors, strict refuses warnings too", "tolerant", "strict"),
    click.Option(
        ["--report/--no-report"],
        default=None,
        help="add the findings up by rule, or list them one by one (default: add up for a folder, a HAR file, "
        "several files, markdown and html)",
    ),
    option("--limit", "findings of one document", type=o.at_least_one, default=1000),
    o.output,
    _REPORTS,
    epilog="In a folder, *.json, *.jsonl, *.ndjson and *.har are read at any depth; other files are named at the "
    "end. JSON lines (*.jsonl, *.ndjson) are read line by line, so a file of any size takes little memory; a line "
    "of more than 16 MiB, or an object of more than 4 MiB on one, is not checked. Any other file is read as a "
    "whole. Exit status: 0 everything is accepted; 1 something is refused, or could not be checked within a file "
    "or a folder; 2 a named file cannot be checked, or there was nothing to check.",
)


report = command(
    "report",
    "report",
    "Report the deviations of a partner, from what it sent.",
    o.the_party,
    o.output,
    _REPORTS,
    o.store,
)
reconcile = command(
    "reconcile",
    "reconcile",
    "Compare a party's CDRs with its sessions.",
    o.the_party,
    option("--from date_from", f"what was last updated since then, {o.TIMES} (default: the last 35 days)", type=o.time),
    option("--to date_to", "what was last updated before then (default: no end)", type=o.time),
    option("--hours", "a session misses its CDR once it is COMPLETED for so long", type=o.count, default=24),
    option("--kwh-tolerance", "a difference of so many kWh is none (default: 0.1)", type=o.amount),
    option("--cost-tolerance", "a difference of so many units of the currency is none (default: 0.01)", type=o.amount),
    option(
        "--limit",
        f"at most so many of each list (default: {o.PERSON_LIMIT}; all with json and csv)",
        type=o.at_least_one,
    ),
    o.formats("table", "json", "csv"),
    o.flag("--json", "short for --format json"),
    o.store,
    epilog="Reconciling writes nothing. Exit status: 0 every CDR has its session, and nothing is missing or "
    "differs; 1 something does; 2 usage; 3 the database failed.",
)


rules = command("rules", "rules", "Print every rule of the checks.", o.formats("text", "json", "markdown"))
matrix = command(
    "matrix",
    "matrix",
    "Print the support matrix.",
    o.flag("--full", "everything that the specification has, switched on"),
    o.formats("markdown", "csv", "json"),
)
openapi = command(
    "openapi",
    "openapi",
    "Print an OpenAPI 3.1 description of what we serve.",
    o.flag("--full", "with everything that the specification has, switched on"),
    o.our_url,
    o.our_name,
    epilog="It is JSON, and what emsp.openapi() returns; docs/openapi.md says how it is meant.",
)
