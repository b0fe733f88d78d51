"""The arguments of every command. Nothing heavy is imported here: values are judged where they are used."""

from __future__ import annotations

import argparse
from collections.abc import Callable

from ocpi_emsp.cli import command_arguments, output, party_arguments, store_arguments, sync_arguments, worker_arguments
from ocpi_emsp.cli.options import (
    add_action,
    add_format,
    add_identity,
    add_json,
    add_listening,
    add_store,
    at_least_one,
    count,
    party,
    token,
)


def parser() -> argparse.ArgumentParser:
    """The parser of the whole command; ``module`` of its result is the module that runs the command."""
    top = argparse.ArgumentParser(
        prog="ocpi-emsp",
        description="The eMSP side of OCPI 2.1.1: receive, call, check.",
        allow_abbrev=False,
        epilog="Exit status: 0 done, 1 done with refusals or failures, 2 usage, 3 the outside failed.",
    )
    top.add_argument("--version", action=_Version, nargs=0, help="print the version")
    commands = top.add_subparsers(title="commands", metavar="COMMAND", required=True)
    for name, (summary, add_arguments) in _COMMANDS.items():
        command = commands.add_parser(name, help=summary, description=summary, allow_abbrev=False)
        command.set_defaults(module=f"ocpi_emsp.cli.{_MODULES.get(name) or name.replace('-', '_')}")
        add_arguments(command)
    return top


class _Version(argparse.Action):
    """Looks the version up only when it is asked for."""

    def __call__(self, parser: argparse.ArgumentParser, *_: object) -> None:
        from importlib.metadata import version

        output.write(f"ocpi-emsp {version('ocpi-emsp')}\n")
        parser.exit()


def _demo(command: argparse.ArgumentParser) -> None:
    add_json(command)


def _serve(command: argparse.ArgumentParser) -> None:
    add_listening(command, 8000)
    add_identity(command)
    add_store(command, memory_allowed=True)
    command.add_argument(
        "--auto-upgrade", action="store_true", help="bring an older schema of the database up to date at the start"
    )
    command.add_argument(
        "--invite",
        metavar="PARTY",
        type=party,
        action="append",
        default=[],
        help="print the versions URL and a token A for this CPO, such as NL-TNM; may be repeated",
    )
    command.add_argument(
        "--no-push", action="store_true", help="leave the pushing of changed tokens to a worker, or to push-tokens"
    )
    add_json(command)


def _simulate_cpo(command: argparse.ArgumentParser) -> None:
    add_listening(command, 0)
    command.add_argument("--party", type=party, metavar="PARTY", help="who the CPO is (default: NL-TNM)")
    command.add_argument("--token-a", type=token, metavar="TOKEN", help="token of its invitation (default: random)")
    for name, what in (
        ("locations", "locations"),
        ("evses", "EVSEs of each location"),
        ("sessions", "sessions"),
        ("cdrs", "CDRs"),
    ):
        command.add_argument(f"--{name}", type=count, metavar="N", help=f"how many {what}")
    command.add_argument(
        "--page-limit", type=at_least_one, metavar="N", help="the most objects on a page (default: 10)"
    )
    command.add_argument(
        "--preset", metavar="NAME", help="a way in which real partners deviate, by name; see --list-presets"
    )
    command.add_argument(
        "--follow-commands",
        action="store_true",
        help="an accepted START_SESSION is followed by a session, an accepted STOP_SESSION ends it and sends its CDR",
    )
    command.add_argument(
        "--list-presets", action="store_true", help="print the names of the presets, one a line, and end"
    )
    command.epilog = (
        "docs/simulated-cpo.md says what each preset does, what a good client makes of it, and how to change the CPO "
        "while it runs."
    )


def _matrix(command: argparse.ArgumentParser) -> None:
    command.add_argument("--full", action="store_true", help="everything that the specification has, switched on")
    add_format(command, "markdown", "csv", "json")


def _check(command: argparse.ArgumentParser) -> None:
    command.add_argument(
        "paths",
        nargs="+",
        metavar="PATH",
        help="a file with an object, a list, an envelope or JSON lines, a HAR file (*.har), or a folder with such "
        "files; - is standard input",
    )
    command.add_argument("--as", dest="kind", metavar="KIND", help="what it is, such as location (default: guessed)")
    command.add_argument(
        "--policy",
        choices=("tolerant", "strict"),
        default="tolerant",
        help="tolerant refuses errors, strict refuses warnings too (default: tolerant)",
    )
    command.add_argument(
        "--report",
        action=argparse.BooleanOptionalAction,
        help="add the findings up by rule, or list them one by one (default: add up for a folder, a HAR file, several "
        "files, markdown and html)",
    )
    command.add_argument(
        "--limit", type=at_least_one, default=1000, metavar="N", help="findings of one document (default: 1000)"
    )
    command.add_argument("--output", metavar="FILE", help="write to this file instead of standard output")
    add_format(command, "text", "json", "markdown", "html")
    command.epilog = (
        "In a folder, *.json, *.jsonl, *.ndjson and *.har are read at any depth; other files are named at the end. "
        "JSON lines (*.jsonl, *.ndjson) are read line by line, so a file of any size takes little memory; a line of "
        "more than 16 MiB, or an object of more than 4 MiB on one, is not checked. Any other file is read as a whole. "
        "Exit status: 0 everything is accepted; 1 something is refused, or could not be checked within a folder or "
        "on a line; 2 a file that was named cannot be checked, or there was nothing to check."
    )


def _rules(command: argparse.ArgumentParser) -> None:
    add_format(command, "text", "json", "markdown")


def _db(command: argparse.ArgumentParser) -> None:
    actions = command.add_subparsers(title="actions", metavar="ACTION", dest="action", required=True)
    for name, summary in (
        ("upgrade", "Create the schema, or bring it up to date."),
        ("current", "Print the revision of the schema, or none."),
        ("check", "Say whether the schema is the one of this version; exit status 1 where it is another."),
    ):
        action = add_action(actions, name, summary)
        add_store(action)
        add_json(action)


_COMMANDS: dict[str, tuple[str, Callable[[argparse.ArgumentParser], None]]] = {
    "demo": ("Run the whole support matrix between us and two simulated CPOs, over real HTTP.", _demo),
    "serve": ("Serve an eMSP on a database.", _serve),
    "simulate-cpo": ("Run a simulated CPO; it prints one JSON line when it listens.", _simulate_cpo),
    "matrix": ("Print the support matrix.", _matrix),
    "check": ("Check payloads against OCPI 2.1.1.", _check),
    "invite": ("Make a token A for a CPO that shall register with us.", store_arguments.invite),
    "register": ("Register with a CPO, while our server runs.", store_arguments.register),
    **{
        plural: (f"List or show the {plural} in the store.", store_arguments.objects(plural))
        for plural in ("parties", "locations", "evses", "sessions", "cdrs", "tariffs", "tokens", "reservations")
    },
    "sync": ("Pull what CPOs have, what changed since the last sync; and push our tokens out.", sync_arguments.sync),
    "push-tokens": ("Send our tokens to CPOs: what changed, and what failed.", store_arguments.push_tokens),
    "command": (
        "Send a command to a CPO, wait for what the charge point says, or look back.",
        command_arguments.command,
    ),
    "authorizations": ("List what was decided on real-time authorizations.", store_arguments.authorizations),
    "party": ("Look at a partner, and renew or end its registration.", party_arguments.command),
    "worker": ("Sync CPOs as jobs in PostgreSQL, beside any number of other workers.", worker_arguments.worker),
    "rejections": ("List, show or replay what was refused.", store_arguments.rejections),
    "events": ("List, show or retry events that were not delivered.", store_arguments.events),
    "report": ("Report what a partner deviates in, from what it sent.", store_arguments.report),
    "reconcile": ("Compare a party's CDRs with its sessions.", store_arguments.reconcile),
    "export": ("Write everything in the store as JSON lines.", store_arguments.export),
    "import": ("Read what export wrote into the store.", store_arguments.import_),
    "db": ("Create, upgrade or check the schema of the database.", _db),
    "rules": ("Print every rule that payloads are checked against.", _rules),
}

_MODULES = {"import": "import_store", "export": "export_store"}
"""Where a command's module has another name: one is a keyword."""
