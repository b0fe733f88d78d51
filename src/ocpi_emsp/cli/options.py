"""What the arguments of several commands have in common: how values are read, and shared options.

Rules of this module:
- click reads the arguments; a command's module is imported when it runs, and validates what the form does not show;
- a setting comes from its flag, then OCPI_EMSP_*, then ./ocpi-emsp.toml; an empty one is not set.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from decimal import Decimal, InvalidOperation
from importlib import import_module
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

import click
from attrs import fields
from click.core import ParameterSource

from ocpi_emsp.cli.errors import Usage
from ocpi_emsp.cli.read_secrets import header_lines
from ocpi_emsp.cli.settings import DEFAULT_STORE, file_settings
from ocpi_emsp.party_id import PartyId

if TYPE_CHECKING:
    from ocpi_emsp.settings import Retention

PERSON_LIMIT = 100
"""Rows of a table unless a limit is given; a person reads no more."""
LETTER_LIMIT = 1000
"""CDRs of an audit that is mailed."""
VERDICTS = ("right", "wrong", "undecidable")
"""Verdicts of an audit; a test compares them."""
MOST_CONNECTIONS = 32
"""Most connections of a store to the database."""
NONE = "none"
"""Stands for a website or logo that is not sent."""
IMAGE_CATEGORIES = ("CHARGER", "ENTRANCE", "LOCATION", "NETWORK", "OPERATOR", "OTHER", "OWNER")
"""Values of ImageCategory; a test compares them."""
SHORTEST_PERIOD = 60.0
"""Shortest period of a sync, in seconds: OCPI advises hours (transport_and_format.md, pull), each run lists the last 15
minutes again, and below a minute a partner would see almost continuous runs."""
_UNITS = {"s": 1, "m": 60, "h": 3600, "d": 86_400}
_DURATION = re.compile(r"([0-9]{1,6})([smhd])")
_PERCENT = re.compile(r"([0-9]{1,3})%")
TIMES = "such as 2024-05-01 or 2024-05-01T12:00:00Z"
_SEPARATORS = re.compile(r"[,\s]+")
_SETTINGS = "Settings come from flags, then from the environment, then from ./ocpi-emsp.toml."
_HTTP = re.compile(r"https?://[^\s/]+(/\S*)?", re.IGNORECASE)


class Arguments(SimpleNamespace):
    """The values of a command's arguments and options, by name."""


# --- values ---------------------------------------------------------------------------------------------------------


def invalid(what: str, text: str, expected: str) -> click.BadParameter:
    """Return the error for an invalid value."""
    return click.BadParameter(f"invalid {what} '{text}': expected {expected}")


def party(text: str) -> PartyId:
    """Return the party of a text such as ``NL-TNM``."""
    try:
        return PartyId.parse(text)
    except ValueError as error:
        raise click.BadParameter(str(error)) from None


def host(text: str) -> str:
    """Return a host name or an address, after a check of its form."""
    try:
        text.encode("idna")
    except UnicodeError:
        raise invalid("host", text, "a host name or an address, for example 127.0.0.1") from None
    return text


def versions_url(text: str) -> str:
    """Return an absolute http or https URL."""
    if _HTTP.fullmatch(text) is None or not _is_readable(text):
        raise invalid("URL", text, "an absolute URL, for example https://cpo.example.com/ocpi/cpo/versions")
    return text


def _is_readable(url: str) -> bool:
    try:
        _ = urlsplit(url).port
    except ValueError:
        return False
    return True


def web_page(text: str) -> str:
    """Return an absolute http or https URL, or ``none``."""
    if text != NONE and _HTTP.fullmatch(text) is None:
        raise invalid("URL", text, "an absolute URL, or none, for example https://www.example.com/logo.png")
    return text


def image(text: str) -> str:
    """Return an absolute http or https URL."""
    if _HTTP.fullmatch(text) is None:
        raise invalid("URL", text, "an absolute URL, for example https://www.example.com/logo.png")
    return text


def whole(least: int, most: int = 999_999_999, *, name: str = "n", why: str = "") -> Callable[[object], int]:
    """Return a function that reads a whole number between two bounds."""

    def read(value: object) -> int:
        text = str(value)
        if text.isascii() and text.isdigit() and len(text) < 10 and least <= int(text) <= most:
            return int(text)
        bounds = f"from {least} to {most}" if most < 999_999_999 else f"from {least}"
        raise invalid("number", text, f"a whole number {bounds}{why}")

    read.__name__ = name  # the name of the value in the help
    return read


port = whole(0, 65_535, name="port")
count = whole(0)
at_least_one = whole(1)
seconds = whole(1, 86_400, name="seconds")
connections = whole(1, MOST_CONNECTIONS, why=" (each needs a connection to the database)")


def duration(text: str) -> timedelta:
    """Return the duration of a text such as ``4h``."""
    match = _DURATION.fullmatch(text)
    if match is None:
        raise invalid("duration", text, "a number with s, m, h or d, for example 90m, 4h or 1d")
    return timedelta(seconds=int(match[1]) * _UNITS[match[2]])


def duration_or_never(text: str) -> timedelta | None:
    """Return a duration; None for ``never``."""
    return None if text == "never" else duration(text)


def retention(text: str) -> Retention:
    """Return the retention of a text such as rejections=30d,sessions=1000d."""
    from ocpi_emsp.settings import Retention

    known = [each.name for each in fields(Retention)]
    ages = dict[str, timedelta]()
    for part in text.split(","):
        name, _, age = (each.strip() for each in part.partition("="))
        if name not in known or name in ages or not duration(age):
            expected = f"some of {', '.join(known)}, each once and with a time"
            raise invalid("retention", text, f"{expected}, for example rejections=30d,sessions=1000d")
        ages[name] = duration(age)
    return Retention(**ages)


def period(text: str) -> float:
    """Return the seconds of a duration such as ``4h``."""
    length = duration(text).total_seconds()
    if length < SHORTEST_PERIOD:
        raise invalid("period", text, "at least 1m (OCPI advises hours), for example 4h")
    return length


def percent(text: str) -> float:
    """Return the share, from 0 to 1, of a text such as ``10%``."""
    match = _PERCENT.fullmatch(text)
    if match is None or int(match[1]) > 100:
        raise invalid("part", text, "a number up to 100 with %, for example 10%")
    return int(match[1]) / 100


def time(text: str) -> datetime:
    """Return a date or a time; without a zone it is UTC."""
    try:
        given = datetime.fromisoformat(text)
        return given.replace(tzinfo=UTC) if given.tzinfo is None else given.astimezone(UTC)
    except (ValueError, OverflowError):
        raise invalid("time", text, "ISO 8601, for example 2024-05-01 or 2024-05-01T12:00:00Z") from None


def amount(text: str) -> Decimal:
    """Return a number from 0 upwards, exact."""
    try:
        amount = Decimal(text)
    except InvalidOperation:
        amount = Decimal("NaN")
    if not amount.is_finite() or amount.is_signed():
        raise invalid("number", text, "a number from 0, for example 0.5")
    return amount


def verdicts(text: str) -> tuple[str, ...]:
    """Return verdicts separated by commas."""
    words = tuple(each for each in _SEPARATORS.split(text.strip().lower()) if each)
    if not words or not set(words) <= set(VERDICTS):
        raise invalid("verdict", text, f"some of {', '.join(VERDICTS)}, for example wrong,undecidable")
    return words


def timeout(text: str) -> float:
    """Return seconds of a wait, fractions included."""
    try:
        length = float(text)
    except ValueError:
        length = 0.0
    if not 0.05 <= length <= 600:
        raise invalid("time", text, "seconds from 0.05 to 600, for example 10")
    return length


def token(text: str) -> str:
    """Return a token for an Authorization header: at most 64 printable ASCII characters (credentials.md 2.1)."""
    if not (0 < len(text) <= 64 and text.isascii() and text.isprintable() and " " not in text):
        raise click.BadParameter("invalid token: expected 1 to 64 printable ASCII characters without a space")
    return text


class Choice(click.Choice[str]):
    """One of several words."""

    def get_invalid_choice_message(self, value: Any, ctx: click.Context | None) -> str:  # noqa: ARG002 # click's
        """Return the message for a word that is not a choice."""
        return f"invalid value '{value}': expected {self._words()}"

    def get_missing_message(self, param: click.Parameter, ctx: click.Context | None) -> str:  # noqa: ARG002 # click's
        """Return the expected words, if none is given."""
        return f"Expected {self._words()}"

    def _words(self) -> str:
        words = list(map(str, self.choices))
        return f"{', '.join(words[:-1])} or {words[-1]}"


def complete_verdicts(_: click.Context, __: click.Parameter, incomplete: str) -> list[str]:
    """Return the verdicts that complete the last word of a list."""
    before, comma, last = incomplete.rpartition(",")
    return [f"{before}{comma}{each}" for each in VERDICTS if each.startswith(last)]


def complete_readings(_: click.Context, __: click.Parameter, incomplete: str) -> list[str]:
    """Return the readings, then the values of the one being written."""
    from ocpi_emsp.pricing import CHOICES
    from ocpi_emsp.pricing.readings import NAMES

    name, equals, value = incomplete.partition("=")
    if equals:
        return [f"{name}={each}" for each in CHOICES.get(name, ()) if each.startswith(value)]
    return [f"{each}=" for each in NAMES if each.startswith(name)]


# --- arguments and options ------------------------------------------------------------------------------------------


class Argument(click.Argument):
    """A positional argument with a line in the help."""

    def __init__(self, name: str, about: str = "", **options: Any) -> None:
        super().__init__([name], **options)
        self.about = about


class Setting(click.Option):
    """An option that the environment or the file may provide instead."""

    def __init__(self, name: str, about: str, **options: Any) -> None:
        environment = f"OCPI_EMSP_{name.partition('/')[0].strip('-').replace('-', '_').upper()}"
        super().__init__([name], help=about, envvar=environment, show_envvar=True, **options)

    def consume_value(self, ctx: click.Context, opts: Mapping[str, Any]) -> tuple[Any, ParameterSource]:
        """Return the value, and its source."""
        name = str(self.name)
        given = {key: value for key, value in opts.items() if (key, value) != (name, "")}
        value, source = super().consume_value(ctx, given)
        if source is ParameterSource.DEFAULT and not ctx.resilient_parsing and (stored := file_settings().get(name)):
            return stored, ParameterSource.DEFAULT_MAP
        return value, source


class _Truth(click.types.BoolParamType):
    """A boolean value."""

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> bool:
        """Return the value of a text such as ``true``, ``no`` or ``1``."""
        try:
            return super().convert(value, param, ctx)
        except click.BadParameter:
            raise invalid("value", value, "true or false") from None


class Switch(Setting):
    """A setting that is on or off: a flag, or ``--no-...``; true or false in the environment and the file."""

    def __init__(self, name: str, about: str) -> None:
        super().__init__(f"{name}/--no-{name[2:]}", about, is_flag=True, type=_Truth(), default=False)


class Settings(Setting):
    """A setting with several values: a repeatable flag; separated by commas in the environment, a list in the file."""

    def __init__(self, name: str, about: str, **options: Any) -> None:
        super().__init__(name, f"{about}; may be repeated", multiple=True, **options)

    def consume_value(self, ctx: click.Context, opts: Mapping[str, Any]) -> tuple[Any, ParameterSource]:
        """Return the values, and their source."""
        found, source = super().consume_value(ctx, opts)
        texts = [found] if isinstance(found, str) else found if isinstance(found, list | tuple) else ()
        return tuple(part for text in texts for part in _SEPARATORS.split(text) if part), source


def option(names: str, about: str, **options: Any) -> click.Option:
    """Return an option; the help shows its default. ``names`` may end with the name of its value."""
    return click.Option(names.split(), help=about, show_default=True, **options)


def flag(name: str, about: str) -> click.Option:
    """Return an option without a value."""
    return click.Option([name], is_flag=True, help=about)


def choice(name: str, about: str, *words: str) -> click.Option:
    """Return an option with one of several words as its value; the first is the default."""
    return option(name, about, type=Choice(words), default=words[0])


def repeated(names: str, about: str, **options: Any) -> click.Option:
    """Return an option that may be given several times."""
    return option(names, f"{about}; may be repeated", multiple=True, **options)


def formats(*words: str) -> click.Option:
    """Return ``--format``."""
    return choice("--format", "output format", *words)


header = repeated(
    "--header headers",
    "a header to add to each call to the partner; @FILE has one on each line",
    metavar="NAME=VALUE",
)


hosts = repeated("--host hosts", "a host that its endpoints may be on, beside that of its versions URL", metavar="HOST")


def headers_of(texts: Sequence[str]) -> dict[str, str] | None:
    """Return the given headers; None if there are none. Raises Usage, which quotes no value."""
    pairs = [text.partition("=") for text in header_lines(texts)]
    if not all(equals for _, equals, _ in pairs):
        raise Usage("invalid --header: expected NAME=VALUE, for example ocpi-to-party-id=AAA")
    names = [name.lower() for name, _, _ in pairs]
    if len(set(names)) < len(names):
        raise Usage(f"invalid --header: {max(names, key=names.count)} is given twice")
    return {name: value for name, _, value in pairs} or None


@contextmanager
def usable_headers() -> Iterator[None]:
    """Raise Usage for impossible headers and hosts within the block."""
    try:
        yield
    except ValueError as error:
        if not str(error).startswith(("invalid headers", "invalid hosts")):
            raise
        raise Usage(str(error)) from None


json = flag("--json", "print one JSON document on stdout and nothing else")
lines = flag("--json", "print JSON lines on stdout and nothing else")


def database(about: str) -> Setting:
    """Return ``--store``."""
    return Setting("--store", about, metavar="URL", default=DEFAULT_STORE, show_default=True)


store = database("the database, such as postgresql+psycopg://user@host/database")
keeps = Setting(
    "--retention",
    "how long to store things, such as rejections=30d,sessions=1000d; nothing else is deleted because of its age",
    type=retention,
    metavar="WHAT=TIME,...",
)
audits = Switch("--audit", "audit each stored CDR, store the audit, and emit CdrAudited")
url_policy = Setting(
    "--url-policy",
    "URLs of partners that may be called: https to public addresses; loopback also allows http to this machine",
    type=Choice(["https", "loopback"]),
    default="https",
    show_default=True,
)
our_url = Setting("--url", "public base URL of our paths, such as https://ocpi.example.com/ocpi/emsp", metavar="URL")
our_name = Setting("--name", "our name, as partners see it", metavar="NAME")
url_policies = (
    url_policy,
    Settings("--allow-http", "also call this host of a partner over plain http", metavar="HOST"),
    Settings("--allow-network", "also call this network, which is not public, such as 10.20.0.0/16", metavar="NETWORK"),
    Settings("--allow-port", "also call this port below 1024, beside 443", metavar="PORT"),
    Settings("--allow-host", "also call this name of a local network, such as cpo.internal", metavar="HOST"),
)
"""Which URLs of partners may be called."""
identity = (
    our_url,
    Setting("--country-code", "our country code, such as IT", metavar="CC"),
    Setting("--party-id", "our party id, such as BEC", metavar="ID"),
    our_name,
    *url_policies,
)
pixels = whole(0, 99_999, name="pixels")
details = (
    Setting("--website", "our website, in our credentials; none removes it", type=web_page, metavar="URL"),
    Setting("--logo", "our logo, in our credentials; none removes it", type=web_page, metavar="URL"),
    Setting("--logo-thumbnail", "a small version of the logo", type=image, metavar="URL"),
    Setting(
        "--logo-category",
        f"category of the logo: {', '.join(IMAGE_CATEGORIES)} (default: OPERATOR)",
        type=Choice(IMAGE_CATEGORIES, case_sensitive=False),
    ),
    Setting("--logo-type", "type of the logo, such as png (default: how its URL ends)", metavar="TYPE"),
    Setting("--logo-width", "width of the logo in pixels", type=pixels),
    Setting("--logo-height", "height of the logo in pixels", type=pixels),
    Setting("--credentials-extensions", "members beyond OCPI in our credentials, such as '{\"x\": 1}'", metavar="JSON"),
)
"""Our credentials beside the identity."""
the_party = Argument("party", "the partner, such as NL-TNM", type=party)
parties = Argument(
    "parties",
    "the partners, such as NL-TNM (default: every registered one)",
    type=party,
    nargs=-1,
    metavar="[PARTY]...",
)
of_party = option("--party", "only of this party, such as NL-TNM", type=party)
limit = option("--limit", f"entries to list, at most (default: {PERSON_LIMIT}; all with --json)", type=at_least_one)
output = option("--output", "write to this file instead of standard output", metavar="FILE")
an_id = Argument("id", "id of the entry; put -- before an id that begins with -")
token_type = choice("--type", "the token's type", "RFID", "OTHER")


def listening(default_port: int) -> tuple[click.Option, ...]:
    """Return the options for the address of a server."""
    return (
        option("--host", "address to listen on", type=host, default="127.0.0.1"),
        option("--port", "port to listen on; 0 is a free one", type=port, default=default_port),
    )


def require_one(arguments: Arguments, *names: str) -> None:
    """Raise Usage unless exactly one of two arguments is given."""
    if sum(bool(getattr(arguments, name)) for name in names) != 1:
        raise Usage(f"expected one of {' and '.join('--all' if name == 'all' else name.upper() for name in names)}")


class Command(click.Command):
    """A command whose module is imported when it runs."""

    def format_options(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """Write arguments and options, each below its own heading."""
        arguments = [each for each in self.params if isinstance(each, Argument) and each.about]
        if arguments:
            with formatter.section("Arguments"):
                formatter.write_dl([(each.make_metavar(ctx), each.about) for each in arguments])
        records = [each.get_help_record(ctx) for each in self.get_params(ctx) if isinstance(each, click.Option)]
        with formatter.section("Options"):
            formatter.write_dl([record for record in records if record is not None])


def command(
    module: str, name: str, summary: str, *params: click.Parameter, epilog: str = "", **constants: str
) -> Command:
    """Return a command, or an action of a group, that ``module`` runs; ``constants`` are arguments, too."""
    if any(isinstance(each, Setting) for each in params):
        epilog = f"{epilog} {_SETTINGS}".strip()

    def run(**given: Any) -> int:
        status: int = import_module(f"ocpi_emsp.cli.{module}").run(Arguments(action=name, **constants, **given))
        return status

    return Command(name, callback=run, params=list(params), help=summary, short_help=summary, epilog=epilog)


def group(name: str, summary: str, *actions: click.Command) -> click.Group:
    """Return a command with actions."""
    return click.Group(
        name,
        commands=actions,
        help=summary,
        short_help=summary,
        subcommand_metavar="ACTION ...",
        no_args_is_help=True,
    )
