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
    option("--limit", "findings per document, at most", type=o.at_least_one, default=1000),
    option("--party", "the sender, such as NL-TNM, for the report", type=o.party),
    o.output,
    _REPORTS,
    epilog="In a folder, *.json, *.jsonl, *.ndjson and *.har are read at any depth; other files are named at the "
    "end. JSON lines (*.jsonl, *.ndjson) are read line by line, so a file of any size takes little memory; a line "
    "of more than 16 MiB, or an object of more than 4 MiB on one, is not checked. Any other file is read as a "
    "whole. Exit status: 0 everything is accepted; 1 something is refused, or a part of a file or folder cannot be "
    "checked; 2 a named file cannot be checked, or there is nothing to check.",
)

redact = command(
    "redact",
    "redact",
    "Replace identifying values in payloads, and keep their deviations.",
    Argument(
        "paths",
        "a file with JSON or JSON lines, a HAR file (*.har), or a folder with such files; - is standard input",
        nargs=-1,
        required=True,
        metavar="PATH...",
    ),
    option(
        "--output",
        "write to this file instead of standard output; of several files or a folder, to this folder",
        metavar="FILE|FOLDER",
    ),
    o.flag("--parties", "replace the ids of parties as well, such as TNM; countries stay"),
    o.repeated("--keep", "a member whose values stay, such as status", metavar="NAME"),
    option(
        "--key-file",
        "a file with a secret: with the same one, equal texts get equal stand-ins in every run (default: random)",
        metavar="FILE",
    ),
    epilog="Ids, names, addresses, hosts of URLs, secrets and all other texts have stand-ins of the same length and "
    "characters of the same classes; coordinates stay within their degree. `check` finds the same before and after. "
    "Exit status: 0 done; 1 a part of a file or folder is left out, and reported; 2 a named file cannot be read.",
)


_READINGS = o.repeated(
    "--set settings",
    "how to read a question that OCPI 2.1.1 leaves open, such as step=per_period (docs/how-to/audit-bills.md)",
    metavar="NAME=VALUE",
    shell_complete=o.complete_readings,
)
_ZONE = option("--time-zone", "the zone of locations that have none, such as Europe/Berlin", metavar="ZONE")
_AUDITS = o.formats("table", "json", "csv", "markdown", "html")

audit = command(
    "audit",
    "audit",
    "Calculate what CDRs should cost, and check their totals.",
    Argument(
        "targets",
        "a file with a CDR, a list, an envelope or JSON lines, a HAR file (*.har), or a folder with such files; - is "
        "standard input; or a party such as NL-TNM, whose CDRs in the store are audited, unless a file has that name",
        nargs=-1,
        required=True,
        metavar="FILE|FOLDER|PARTY...",
    ),
    option("--from date_from", f"of a party: CDRs last updated since this time, {o.TIMES} (default: all)", type=o.time),
    option("--to date_to", "of a party: CDRs last updated before this time (default: no end)", type=o.time),
    _READINGS,
    o.repeated(
        "--tariff tariffs",
        "a file with tariffs for CDRs that contain none; of several with one id, the newest before the session counts",
        metavar="FILE",
    ),
    _ZONE,
    option(
        "--only",
        f"show only these: {', '.join(o.VERDICTS)}, separated by commas (default: all); the exit status covers all",
        type=o.verdicts,
        metavar="VERDICT,...",
        shell_complete=o.complete_verdicts,
    ),
    option(
        "--limit",
        f"CDRs in a table, Markdown or HTML, the worst first (default: {o.PERSON_LIMIT}, in Markdown and "
        f"HTML {o.LETTER_LIMIT}); json and csv list all",
        type=o.at_least_one,
    ),
    o.output,
    _AUDITS,
    o.store,
    epilog="For a single CDR, the table is its bill. A document of another kind is skipped and reported. Exit status: "
    "0 every CDR is right; 1 a CDR is wrong or undecidable, or a file or CDR cannot be read; 2 usage; 3 the database "
    "failed.",
)
quote = command(
    "quote",
    "quote",
    "Quote what a charge would cost, before it starts.",
    Argument("tariff", "a file with a tariff; - is standard input", metavar="TARIFF"),
    option("--start", f"start of the charge, {o.TIMES}; UTC unless it has a zone", type=o.time, required=True),
    option("--kwh", "energy in kWh", type=o.amount, required=True),
    option("--minutes", "minutes of charging", type=o.amount, required=True),
    option("--parking-minutes", "minutes of parking afterwards", type=o.amount, default="0"),
    option("--power", "power in kW while charging (default: energy by time)", type=o.amount),
    option("--location", "a file with the location, for its time zone and connector", metavar="FILE"),
    _ZONE,
    option("--tariff-id", "the tariff to use, of a file with several", metavar="ID"),
    _READINGS,
    o.output,
    o.formats("table", "json", "csv", "markdown", "html"),
    epilog="Exit status: 0 the amount is known; 1 only its bounds are, or the tariff cannot be used; 2 usage.",
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
    option(
        "--from date_from",
        f"CDRs and sessions last updated since this time, {o.TIMES} (default: the last 35 days)",
        type=o.time,
    ),
    option("--to date_to", "CDRs and sessions last updated before this time (default: no end)", type=o.time),
    option("--hours", "report a session without a CDR this many hours after it is COMPLETED", type=o.count, default=24),
    option("--kwh-tolerance", "ignore a difference of up to this many kWh (default: 0.1)", type=o.amount),
    option(
        "--cost-tolerance",
        "ignore a difference of up to this many units of the currency (default: 0.01)",
        type=o.amount,
    ),
    option(
        "--limit",
        f"rows of each list, at most (default: {o.PERSON_LIMIT}; all with json and csv)",
        type=o.at_least_one,
    ),
    o.formats("table", "json", "csv"),
    o.flag("--json", "short for --format json"),
    o.store,
    epilog="The command writes nothing. Exit status: 0 every CDR has its session, and nothing is missing or "
    "differs; 1 something is missing or differs; 2 usage; 3 the database failed.",
)


rules = command("rules", "rules", "Print every rule of the checks.", o.formats("text", "json", "markdown"))
matrix = command(
    "matrix",
    "matrix",
    "Print the support matrix.",
    o.flag("--full", "with every row of the specification switched on"),
    o.formats("markdown", "csv", "json"),
)
openapi = command(
    "openapi",
    "openapi",
    "Print an OpenAPI 3.1 description of what we serve.",
    o.flag("--full", "with every row of the specification switched on"),
    o.our_url,
    o.our_name,
    epilog="Prints JSON, the same as emsp.openapi(). docs/reference/openapi.md explains it.",
)
