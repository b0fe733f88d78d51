"""``ocpi-emsp party profile``: the profile of a partner, shown, changed field by field, and suggested.

Rules of this module: all fields that are set and unset together are one change; suggestions are never applied.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from attrs import fields

from ocpi_emsp.cli import output
from ocpi_emsp.cli.errors import Usage, reason
from ocpi_emsp.cli.options import Arguments
from ocpi_emsp.cli.read_secrets import header_lines, warn
from ocpi_emsp.cli.stores import emsp_of_nobody, opened
from ocpi_emsp.findings import counted
from ocpi_emsp.resources.records import names_party


def run(arguments: Arguments) -> int:
    """Print the resulting profile."""
    from ocpi_emsp.resources import Profile

    defaults = {each.name: each.default for each in fields(Profile)}
    changes = _changes(arguments)
    with opened(arguments) as store:
        partner = emsp_of_nobody(store, arguments).partner(arguments.party)
        try:
            profile = partner.set_profile(**changes) if changes else partner.profile()
        except ValueError as error:
            raise Usage(str(error)) from None
        suggestions = [each.as_json() for each in partner.suggestions()] if arguments.suggest else None
    values = {name: _plain(getattr(profile, name)) for name in defaults}
    name = "-".join(arguments.party)
    if arguments.json:
        suggested = {} if suggestions is None else {"suggestions": suggestions}
        output.write_json({"party": name, "profile": values, **suggested}, indent=None)
        return 0
    _print(name, values, {field: _plain(default) for field, default in defaults.items()})
    for each in suggestions or ():
        value = "?" if each["value"] is None else _shown(each["name"], each["value"])
        line = f"suggested: {each['name']}={value}  ({each['why']}; seen {counted(each['evidence'], 'time')})"
        output.write_line(line)
    if suggestions == []:
        output.say(f"there is nothing to suggest for {name}")
    return 0


def _print(name: str, values: Mapping[str, Any], defaults: Mapping[str, Any]) -> None:
    rows = [(field, _shown(field, value), "" if value == defaults[field] else "set") for field, value in values.items()]
    output.write(f"{name}\n{output.table(('field', 'value', ''), rows)}")


def _shown(field: str, value: Any) -> str:
    match value:
        case None | []:
            return "none"
        case str() if field == "matrix":
            return f"its own, {counted(value.count(chr(10)) - 1, 'row')}"
        case str() if field in ("readings", "plausibility"):
            return ", ".join(f"{name}={chosen}" for name, chosen in json.loads(value).items())
        case list():
            return ", ".join(value)
        case dict() if field in ("endpoints", "headers"):
            return ", ".join(f"{module}={url}" for module, url in value.items())
        case dict():
            return ", ".join(f"{rule}:{action}" for rule, action in value.items())
        case str():
            return value
        case _:
            return json.dumps(value)


def _plain(value: Any) -> Any:
    """Return a value in the form of JSON; the actions by their rules."""
    if isinstance(value, tuple):
        texts = [each for each in value if isinstance(each, str)]
        return texts if len(texts) == len(value) else dict(map(_pair, value))
    return value if isinstance(value, str | bool | int | None) else str(value)


def _pair(each: Any) -> tuple[str, str]:
    """Return a rule with its action, a module with its URL, or a header with its value, if that is not secret."""
    if hasattr(each, "rule"):
        return each.rule, each.action
    return (each.name, each.shown) if hasattr(each, "shown") else (each.identifier.value, each.url)


# --- values of the command line -------------------------------------------------------------------------------------


def _changes(arguments: Arguments) -> dict[str, Any]:
    """Return the changes, after a check of their form. Raises Usage."""
    changes: dict[str, Any] = dict.fromkeys(arguments.unset)
    for text in arguments.changes:
        name, equals, value = text.partition("=")
        if not equals:
            raise Usage(f"invalid setting '{text}': expected NAME=VALUE, for example page_limit=50")
        if name in changes:
            raise Usage(f"{name} is set or unset more than once")
        try:
            changes[name] = _READERS.get(name, str)(value)
        except ValueError as error:
            raise Usage(f"{name}: {error}") from None
    return changes


def _flag(text: str) -> bool:
    if text not in ("true", "false"):
        raise ValueError(f"invalid value '{text}': expected true or false")
    return text == "true"


def _whole(text: str) -> int:
    if not (text.isascii() and text.isdigit() and len(text) < 10):
        raise ValueError(f"invalid value '{text}': expected a whole number")
    return int(text)


def _list(text: str) -> list[str]:
    return [part.strip() for part in text.split(",") if part.strip()]


def _actions(text: str) -> dict[str, str]:
    pairs = [part.partition(":") for part in _list(text)]
    return {rule: action for rule, _, action in pairs}


def _endpoints(text: str) -> dict[str, str]:
    pairs = [part.partition("=") for part in _list(text)]
    return {module: url for module, _, url in pairs}


def headers_of(text: str) -> dict[str, str]:
    """Return headers from NAME=VALUE with commas, a JSON object if a value has commas, or ``@FILE`` with one per
    line.
    """
    if text.startswith("@"):
        pairs = [line.partition("=") for line in header_lines([text])]
        return {name: value for name, _, value in pairs}
    found = _plain_headers(text)
    if not all(names_party(name.lower()) for name in found):
        warn("--set headers", "--set headers=@FILE, or @- for standard input, with NAME=VALUE on each line")
    return found


def _plain_headers(text: str) -> dict[str, str]:
    if not text.lstrip().startswith("{"):
        return _endpoints(text)
    try:
        return dict(json.loads(text))
    except ValueError:
        raise ValueError("expected NAME=VALUE with commas, or a JSON object") from None


def _readings(text: str) -> str | dict[str, str]:
    """Return readings, or plausibility settings, from NAME=VALUE with commas, or a JSON object."""
    return text if text.lstrip().startswith("{") else _endpoints(text)


def _file(text: str) -> str:
    try:
        return Path(text).read_text("utf-8")
    except OSError as error:
        raise ValueError(f"{text}: cannot be read: {reason(error)}") from None


_READERS: Mapping[str, Callable[[str], Any]] = {
    **dict.fromkeys(
        ("base64_token", "append_charging_periods", "trailing_slash", "announce_slash", "patches_sessions",
         "cdr_id_is_session_id", "push_tokens", "authorization_ids", "absent_as_null", "without_locations"), _flag),
    **dict.fromkeys(
        ("page_limit", "concurrent_requests", "max_objects", "max_bytes", "inbound_requests_per_second",
         "inbound_concurrent_requests", "inbound_bytes_per_minute"), _whole),
    **dict.fromkeys(("allowed_parties", "hosts", "required_modules"), _list),
    "actions": _actions,
    "endpoints": _endpoints,
    "headers": headers_of,
    "matrix": _file,
    "readings": _readings,
    "plausibility": _readings,
}  # fmt: skip
"""Functions that read the text of a field; any other field is a text in the profile as well."""
