"""The arguments of the commands about partners."""

from __future__ import annotations

import click

from ocpi_emsp.cli import options as o
from ocpi_emsp.cli.declared.lists import listed
from ocpi_emsp.cli.given_secrets import token_options
from ocpi_emsp.cli.options import Argument, command, group, option

MODULES = ("cdrs", "commands", "locations", "sessions", "tariffs", "tokens")
"""Modules that a partner may have to offer beside credentials; a test compares them with those of the specification."""
SYNCED = ("locations", "tariffs", "sessions", "cdrs", "tokens")
"""The modules of a sync, in its order."""


_HANDSHAKE = (
    o.flag("--base64-token", "the CPO expects tokens in base64, as in OCPI 2.2"),
    o.repeated(
        "--require required_modules",
        f"a module that the CPO has to offer beside credentials: {', '.join(MODULES)}",
        type=o.Choice(MODULES, case_sensitive=False),
    ),
    o.flag("--absent-as-null", "send null for absent optional members: the CPO requires every member"),
    option("--extensions", "members beyond OCPI in our credentials for this CPO, as a JSON object", metavar="JSON"),
    o.header,
    o.hosts,
    o.store,
    o.json,
    *o.identity,
)
_REGISTRATION = (o.the_party, o.store, o.json, *o.identity)
_RENEWAL = (*_REGISTRATION, *o.details)
_REPEATS = (
    "Identity, website, logo and extensions that are not set are sent as the party last received them, from any "
    "process."
)

invite = command(
    "invite",
    "invite",
    "Make a token A for a CPO, with which it registers with us.",
    Argument("party", "the CPO, such as NL-TNM", type=o.party),
    option("--expires", "how long the token works, such as 12h or 7d (default: 7d)", type=o.duration),
    *_HANDSHAKE,
)
register = command(
    "register",
    "register",
    "Register with a CPO, while our server runs.",
    Argument("versions_url", "the versions URL that the CPO gave us", type=o.versions_url, required=False),
    *token_options("--token-a", "the token that the CPO gave us"),
    option("--invitation", "a JSON file with versions_url and token_a, instead of both", metavar="FILE"),
    o.flag("--sync", "then pull the CPO's objects, and push our tokens to it"),
    *_HANDSHAKE,
    *o.details,
)
party = group(
    "party",
    "Diagnose a partner; renew or end its registration.",
    command(
        "party",
        "diagnose",
        "Check what works with a partner and what would fail, row by row of the matrix; only reads.",
        Argument("partner", "a versions URL, with --token; or a registered party, such as NL-TNM", metavar="URL|PARTY"),
        *token_options("--token", "a token that the partner gave us"),
        o.flag("--base64", "present the token in base64 first (default: raw first, then base64)"),
        o.header,
        o.hosts,
        option("--timeout", "seconds for one read of an answer", type=o.timeout, default=10.0),
        o.store,
        o.json,
        *o.identity,
        epilog="With a URL, neither a database nor an identity is needed. Exit status: 0 nothing is known to fail, 1 "
        "something would not work, 2 usage, 3 the partner does not answer.",
    ),
    command(
        "party",
        "rotate",
        "Exchange fresh tokens with a party, both ways, while our server runs.",
        *_RENEWAL,
        epilog=_REPEATS,
    ),
    command(
        "party",
        "update",
        "Read a party's endpoints again and renew the credentials there, while our server runs.",
        *_RENEWAL,
        option("--versions-url", "the party's new versions URL (default: the stored one)", metavar="URL"),
        epilog=_REPEATS,
    ),
    command(
        "party",
        "unregister",
        "End a registration; what the party sent us stays.",
        *_REGISTRATION,
        o.flag("--no-tell", "forget the party here only, without a DELETE to it; withdraws an invitation, too"),
    ),
    command(
        "party_profile",
        "profile",
        "Show or change the profile of a party: how we read what it sends, and how we call it.",
        o.the_party,
        o.repeated(
            "--set changes",
            "a field and its new value: true or false, a number, a text; a list with commas (allowed_parties, "
            "hosts, required_modules), RULE:ACTION with commas (actions), NAME=VALUE with commas (headers, endpoints), "
            "@FILE with headers, or the name of a CSV file (matrix)",
            metavar="NAME=VALUE",
        ),
        o.repeated("--unset", "a field to reset to its default", metavar="NAME"),
        o.flag("--suggest", "suggest fields of the profile, from what the party was observed to do"),
        o.store,
        o.json,
        *o.url_policies,
        epilog="docs/reference/profiles.md describes each field. A suggestion is never applied by itself.",
    ),
)
sync = command(
    "sync",
    "sync",
    "Pull what changed at CPOs since the last sync; push our tokens.",
    o.parties,
    o.repeated(
        "--module modules",
        f"sync only this module: {', '.join(SYNCED)} (tokens are pushed; default: all)",
        type=o.Choice(SYNCED, case_sensitive=False),
    ),
    o.flag("--full", "list everything, and mark what a CPO no longer lists"),
    option(
        "--since", f"pull what was last updated since this time, {o.TIMES} (default: since the last sync)", type=o.time
    ),
    option("--every", "repeat at this interval, such as 90m, 4h or 1d; at least 1m", type=o.period),
    option(
        "--splay",
        "the share of the interval over which the runs of the parties are spread (default: 10%)",
        type=o.percent,
    ),
    option("--parallel", f"parties to sync at once, up to {o.MOST_CONNECTIONS}", type=o.connections, default=8),
    o.store,
    o.flag("--json", "print one JSON document on stdout and nothing else; with --every a line for each party and run"),
    *o.identity,
    epilog="Ctrl-C and SIGTERM stop the sync after the current page, with a report; the next sync continues there. "
    "A second signal ends it at once. With --every the first run begins at once; each further run of a party begins "
    "within the splay, half of which is fixed for the party, and half random. Exit status: 0 done, or SIGTERM ended "
    "a sync with --every; 1 done, but an object was rejected, a module did not complete, or a party is not "
    "registered; 2 usage; 3 a partner could not be used at all, or the database "
    "failed; 130 stopped by Ctrl-C.",
)


push_tokens = command(
    "push_tokens",
    "push-tokens",
    "Send our tokens to CPOs: changes, and earlier failures.",
    o.parties,
    o.flag("--verify", "request each token that was sent, and compare it"),
    o.flag("--full", "check every token, not only changed ones"),
    o.store,
    o.json,
    *o.identity,
)


def _command(name: str, summary: str, *params: click.Parameter) -> click.Command:
    """Return an action of ``command`` that names a partner and may wait."""
    wait = option(
        "--wait",
        "wait at most this long for the result of the charge point (default: print the CPO's answer and exit)",
        type=o.seconds,
    )
    return command("command", name, summary, o.the_party, *params, wait, o.store, o.json, *o.identity)


_CHARGING = (
    option("--token", "the token, as it is in our store", metavar="UID", required=True),
    o.token_type,
    option("--location", "the location, as the CPO sent it", metavar="ID", required=True),
    option("--evse", "its EVSE (default: the charge point chooses)", metavar="UID"),
    option("--authorization-id", "id of the authorization, for the session and the CDR, too", metavar="ID"),
)
_SENDING = (
    o.flag("--force", "send the command although a check of the location, EVSE, token or session failed"),
    option("--timeout", "seconds that the charge point may take (default: 120)", type=o.seconds),
    option("--extensions", "members beyond OCPI in the command, as a JSON object", metavar="JSON"),
)
commands = group(
    "command",
    "Send a command to a CPO, and wait for its result.",
    _command("start-session", "Have a CPO start a session for one of our tokens.", *_CHARGING, *_SENDING),
    _command(
        "reserve-now",
        "Have a CPO reserve an EVSE for one of our tokens.",
        *_CHARGING,
        option("--until", "the end of the reservation", type=o.time, required=True),
        option("--reservation-id", "id of a reservation to replace (default: a new reservation)", type=o.count),
        *_SENDING,
    ),
    _command(
        "stop-session",
        "Have a CPO stop one of its sessions.",
        Argument("session_id", "id of the session; put -- before an id that begins with -"),
        *_SENDING,
    ),
    _command(
        "show",
        "Show the state of a command, or wait for its result.",
        Argument("uid", "the uid that was printed when the command was sent"),
    ),
    listed("objects", "List the commands that we sent, oldest first.", kind="commands"),
)
