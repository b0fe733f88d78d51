"""The arguments of the commands for the settings file and the database, and of completion."""

from __future__ import annotations

from ocpi_emsp.cli import options as o
from ocpi_emsp.cli.options import Argument, command, group, option

db = group(
    "db",
    "Create, upgrade or check the schema of the database; rotate its key; delete what is old.",
    *(
        command("db", name, about, o.store, o.json)
        for name, about in (
            ("upgrade", "Create the schema, or bring it up to date."),
            ("current", "Print the revision of the schema, or none."),
            ("check", "Check that the schema is the one of this version; exit status 1 if it differs."),
            ("rotate-key", "Encrypt the partners' tokens again, with the first key in OCPI_EMSP_SECRET_KEY."),
        )
    ),
    command(
        "db_prune",
        "prune",
        "Delete what is older than --retention.",
        o.keeps,
        o.flag("--dry-run", "only print the counts"),
        o.store,
        o.json,
        epilog="WHAT is rejections, dead_events, authorizations, sessions (those that ended), cdr_conflicts, audits, "
        "commands (with reservations) or tariff_versions (those that ended); "
        "TIME such as 12h or 90d. serve and worker do the same every few hours.",
    ),
)
export = command(
    "export_store",
    "export",
    "Write everything in the store as JSON lines.",
    option("--output", "write to this file, which only you can read", metavar="FILE"),
    o.store,
    epilog="Documents are written byte for byte. The export has the tokens that partners accept, in plain text.",
)
import_ = command(
    "import_store",
    "import",
    "Read an export into the store.",
    Argument("file", "an export; - is standard input", default="-"),
    o.flag("--strict", "stop at the first line that cannot be imported"),
    o.store,
    epilog="An existing object is replaced, so importing twice gives the same result. Exit status: 1 if a line cannot "
    "be imported, or the file was cut off.",
)
config = group(
    "config",
    "Write the settings file.",
    command(
        "config",
        "init",
        "Write a settings file with every setting, its default, and what it does.",
        option("--output", "the file to write; it must not exist", default="ocpi-emsp.toml", metavar="FILE"),
        o.flag("--laptop", "only what a try on this machine needs: an example eMSP, http on loopback, a SQLite file"),
    ),
)
completion = command(
    "completion",
    "completion",
    "Print the script for shell completion.",
    Argument("shell", "bash, zsh or fish", type=o.Choice(["bash", "zsh", "fish"]), metavar="SHELL"),
    epilog='In bash: eval "$(ocpi-emsp completion bash)".',
)
