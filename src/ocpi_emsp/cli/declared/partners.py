"""The arguments of the commands about partners."""

from __future__ import annotations

import click

from ocpi_emsp.cli import options as o
from ocpi_emsp.cli.declared.lists import listed
from ocpi_emsp.cli.given_secrets import token_options
from ocpi_emsp.cli.options import Argument, command, group, option

MODULES = ("cdrs", "commands", "locations", "sessions", "tariffs", "tokens")
"""What a partner may have to offer beside credentials; a test compares it with the modules of the specification."""
SYNCED = ("locations", "tariffs", "sessions", "cdrs", "tokens")
"""The modules of a sync, in its order."""


_HANDSHAKE = (
    o.flag("--base64-token", "it expects tokens in base64, as OCPI 2.2 does"),
    o.repeated(
        "--require required_modules",
        f"a module that it has to offer beside credentials: {', '.join(MODULES)}",
        type=o.Choice(MODULES, case_sensitive=False),
    ),
    o.flag("--absent-as-null", "it requires every member: optional ones that are absent are sent to it as null"),
    option("--extensions", "what our credentials for it alone have beyond OCPI, a JSON object", metavar="JSON"),
    o.header,
    o.hosts,
    o.store,
    o.json,
    *o.identity,
)
_REGISTRATION = (o.the_party, o.store, o.json, *o.identity)
_RENEWAL = (*_REGISTRATION, *o.details)
_REPEATS = (
    "What is not said of our identity, website, logo and extensions is sent as the party got it last, from whichever "
    "process."
)

invite = command(
    "invite",
    "invite",
    "Make a token A for a CPO that shall register with us.",
    Argument("party", "the CPO, such as NL-TNM", type=o.party),
    option("--expires", "how long the token works, such as 12h or 7d (default: 7d)", type=o.duration),
    *_HANDSHAKE,
)
register = command(
    "register",
    "register",
    "Register with a CPO, while our server runs.",
    Argument("versions_url", "the CPO's versions URL, as it gave it to us", type=o.versions_url, required=False),
    *token_options("--token-a", "the token that it gave us"),
    option("--invitation", "a JSON file with its versions_url and token_a, in place of both", metavar="FILE"),
    o.flag("--sync", "then pull what it has, and push our tokens to it"),
    *_HANDSHAKE,
    *o.details,
)
party = group(
    "party",
    "Diagnose a partner; renew or end its registration.",
    command(
        "party",
        "diagnose",
        "Look at a partner, only reading: what works, and what would not, row by row of the matrix.",
        Argument("partner", "a versions URL, with --token; or a registered party such as NL-TNM", metavar="URL|PARTY"),
        *token_options("--token", "a token that the partner gave us"),
        o.flag("--base64", "present the token in base64 first (default: raw first, then base64)"),
        o.header,
        o.hosts,
        option("--timeout", "for one read of an answer", type=o.timeout, default=10.0),
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
        "Show or change how a party wants to be talked to.",
        o.the_party,
        o.repeated(
            "--set changes",
            "a field and its new value: true or false, a number, a text; a list with commas (allowed_parties, "
            "hosts, required_modules), RULE:ACTION with commas (actions), NAME=VALUE with commas (headers, endpoints), "
            "@FILE with headers, or the name of a CSV file (matrix)",
            metavar="NAME=VALUE",
        ),
        o.repeated("--unset", "a field that goes back to its default", metavar="NAME"),
        o.flag("--suggest", "say what the profile could be, by what the party was seen to do"),
        o.store,
        o.json,
        *o.url_policies,
        epilog="docs/reference/profiles.md says what each field does. A suggestion is never applied by itself.",
    ),
)
sync = command(
    "sync",
    "sync",
    "Pull what changed at CPOs since the last sync; push our tokens.",
    o.parties,
    o.repeated(
        "--module modules",
        f"this module alone: {', '.join(SYNCED)} (which are pushed out; default: all)",
        type=o.Choice(SYNCED, case_sensitive=False),
    ),
    o.flag("--full", "list everything, and mark what a CPO no longer lists"),
    option("--since", f"what was last updated since then, {o.TIMES} (default: since the last sync)", type=o.time),
    option("--every", "repeat for ever, such as every 90m, 4h or 1d; at least 1m", type=o.period),
    option("--splay", "the part of the period over which the parties' runs are spread (default: 10%)", type=o.percent),
    option("--parallel", f"how many parties at once, up to {o.MOST_CONNECTIONS}", type=o.connections, default=8),
    o.store,
    o.flag("--json", "print one JSON document on stdout and nothing else; with --every a line for each party and run"),
    *o.identity,
    epilog="Ctrl-C and SIGTERM stop it after the current page, and what was done is reported; the next sync goes "
    "on there. A second one ends it at once. With --every the first run begins at once; each further one of a "
    "party begins within the splay: half of that is fixed for the party, half is chance. Exit status: 0 all is "
    "done, or a sync with --every was ended by SIGTERM; 1 done, but an object was rejected, a module did not come "
    "to its end, or a party is not registered; 2 usage; 3 a partner could not be used at all, or the database "
    "failed; 130 stopped by Ctrl-C.",
)


push_tokens = command(
    "push_tokens",
    "push-tokens",
    "Send our tokens to CPOs: changes, and earlier failures.",
    o.parties,
    o.flag("--verify", "ask for each token that was sent, and compare"),
    o.flag("--full", "look at every token, not only at those that changed"),
    o.store,
    o.json,
    *o.identity,
)


def _command(name: str, summary: str, *params: click.Parameter) -> click.Command:
    """An action of ``command`` that names a partner and may wait."""
    wait = option(
        "--wait",
        "wait for the result of the charge point, so long at most (default: print the CPO's answer, and end)",
        type=o.seconds,
    )
    return command("command", name, summary, o.the_party, *params, wait, o.store, o.json, *o.identity)


_CHARGING = (
    option("--token", "the token, as it is in our store", metavar="UID", required=True),
    o.token_type,
    option("--location", "the location, as the CPO sent it", metavar="ID", required=True),
    option("--evse", "its EVSE (default: the charge point chooses)", metavar="UID"),
    option("--authorization-id", "what the authorization is called, in the session and the CDR too", metavar="ID"),
)
_SENDING = (
    o.flag("--force", "send it although a check of the location, EVSE, token or session failed"),
    option("--timeout", "how long the charge point may take (default: 120)", type=o.seconds),
    option("--extensions", "what the command has beyond OCPI, a JSON object", metavar="JSON"),
)
commands = group(
    "command",
    "Send a command to a CPO, and wait for its result.",
    _command("start-session", "Have a CPO start a session for one of our tokens.", *_CHARGING, *_SENDING),
    _command(
        "reserve-now",
        "Have a CPO keep an EVSE for one of our tokens.",
        *_CHARGING,
        option("--until", "when the reservation ends", type=o.time, required=True),
        option("--reservation-id", "of a reservation to replace (default: a new reservation)", type=o.count),
        *_SENDING,
    ),
    _command(
        "stop-session",
        "Have a CPO stop one of its sessions.",
        Argument("session_id", "one that begins with - stands behind --"),
        *_SENDING,
    ),
    _command(
        "show",
        "Show the state of a command, or wait for its result.",
        Argument("uid", "the uid that was printed when the command was sent"),
    ),
    listed("objects", "List the commands that we sent, oldest first.", kind="commands"),
)
