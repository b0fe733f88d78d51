"""The profile of a party: read, and changed field by field.

Rules of this module (docs/reference/profiles.md has a row for each field):
- an invalid value is rejected before anything is stored, and the error names the field;
- None resets a field to its default;
- a party with a registration of its own cannot be behind another connection.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping
from contextlib import suppress
from decimal import Decimal, InvalidOperation
from typing import Any, TypeAlias

from attrs import evolve, fields

from ocpi_emsp.check import Policy
from ocpi_emsp.codec import dump, parse
from ocpi_emsp.codec.extensions import require_extensions
from ocpi_emsp.codec.zones import zone_of
from ocpi_emsp.errors import InvalidObject, NotJson, UnsafeUrl
from ocpi_emsp.findings import Severity
from ocpi_emsp.flows.core.context import Context
from ocpi_emsp.flows.core.settings import MIN_RATE, is_usable_rate
from ocpi_emsp.flows.parties.allowed_parties import PATTERN, allowed_by
from ocpi_emsp.flows.parties.extra_headers import read_headers
from ocpi_emsp.flows.parties.hub_owners import registered_parties
from ocpi_emsp.flows.parties.owner_evidence import CRITERIA
from ocpi_emsp.flows.parties.party import (
    Party,
    Profile,
    RuleAction,
    get_party,
    load_party,
    put_party,
    with_policy,
)
from ocpi_emsp.flows.parties.pending_push import request_push_if_enabled
from ocpi_emsp.flows.parties.profile_plausibility import stored_plausibility
from ocpi_emsp.flows.parties.profile_readings import stored_readings
from ocpi_emsp.models import Credentials, Endpoint, ModuleID
from ocpi_emsp.ports import Transaction
from ocpi_emsp.routes import OUTGOING
from ocpi_emsp.scalars import given
from ocpi_emsp.support import SupportMatrix
from ocpi_emsp.url_policy import canonical_host


async def get_profile(context: Context, country_code: str, party_id: str) -> Profile:
    """Return the profile of a party. Raises NotRegistered."""
    return (await load_party(context, country_code, party_id)).profile


async def set_profile(context: Context, country_code: str, party_id: str, changes: Mapping[str, Any]) -> Profile:
    """Change a party's profile and return the new one. Raises NotRegistered; ValueError that names the field."""
    read = {name: read_value(name, value) for name, value in changes.items()}
    async with context.store.transaction() as tx:
        party = await get_party(tx, country_code, party_id)
        changed = evolve(party, profile=evolve(party.profile, **read))
        _require_policy(changed.profile)
        if "endpoints" in read:
            _require_allowed_urls(context, changed)
        if "allowed_parties" in read:
            await _require_allowed(context, tx, changed)
        await _put_changed(context, tx, party, changed)
    return changed.profile


async def set_matrix(context: Context, country_code: str, party_id: str, matrix: SupportMatrix | None) -> None:
    """Store which rows are served to a party and called at it. Raises NotRegistered."""
    await set_profile(context, country_code, party_id, {"matrix": matrix})


async def set_policy(context: Context, country_code: str, party_id: str, policy: Policy | None) -> None:
    """Store which of a party's payloads are rejected. Raises NotRegistered."""
    async with context.store.transaction() as tx:
        party = await get_party(tx, country_code, party_id)
        await _put_changed(context, tx, party, evolve(party, profile=with_policy(party.profile, policy)))


async def _put_changed(context: Context, tx: Transaction, party: Party, changed: Party) -> None:
    """Store a changed party, with a new correlation id."""
    if changed != party:
        await put_party(tx, changed, context.clock.now(), context.correlated().correlation_id)
    await request_push_if_enabled(tx, party, changed, context.matrix, context.clock.now())


def _require_policy(profile: Profile) -> None:
    if profile.actions and profile.refuses is None:
        raise ValueError(
            "invalid actions: they need a policy of the party's own, so set refuses as well, for example 'error'"
        )


def _require_allowed_urls(context: Context, party: Party) -> None:
    """Raise ValueError for an endpoint that the URL policy forbids."""
    for endpoint in party.profile.endpoints:
        try:
            context.check_url(endpoint.url)
        except UnsafeUrl as error:
            raise ValueError(f"invalid endpoints '{endpoint.url[:200]}': {error.message}") from None


async def _require_allowed(context: Context, tx: Transaction, party: Party) -> None:
    """Raise ValueError if a named party is the eMSP, the party itself, or one with a registration of its own.

    A pattern does not include them.
    """
    named = allowed_by(party.profile.allowed_parties).named
    if context.identity.owner in named:
        raise ValueError(
            f"invalid allowed_parties '{'-'.join(context.identity.owner)}': expected another party than the eMSP itself"
        )
    if party.owner in named:
        raise ValueError(f"invalid allowed_parties '{party}': expected another party than the one of the profile")
    for other in await registered_parties(tx):
        if other.owner in named:
            raise ValueError(f"invalid allowed_parties '{other}': expected a party without a registration of its own")


# --- values ---------------------------------------------------------------------------------------------------------

_Value: TypeAlias = Callable[[Any], Any]


def read_value(name: str, value: Any) -> Any:
    """Read a value for a field. Raises ValueError that names the field."""
    if name not in DEFAULTS:
        from difflib import get_close_matches

        closest = get_close_matches(name, DEFAULTS, n=len(DEFAULTS), cutoff=0)
        raise ValueError(
            f"invalid profile field '{name}': expected one of {', '.join(closest)}, for example {closest[0]}"
        )
    if value is None:
        return DEFAULTS[name]
    try:
        return _READERS[name](value)
    except ValueError as error:
        if str(error).startswith("invalid "):
            raise ValueError(str(error) if name in str(error) else f"invalid {name}: {error}") from None
        if name == "headers":  # a value may be a secret
            raise ValueError(f"invalid headers: {error}") from None
        shown = ", ".join(map(given, value)) if isinstance(value, list | tuple | dict) else given(value)
        raise ValueError(f"invalid {name} '{shown[:200]}': {error}") from None


DEFAULTS: Mapping[str, Any] = {each.name: each.default for each in fields(Profile)}
"""The fields of a profile, and their defaults."""


def _flag(value: Any) -> bool:
    if not isinstance(value, bool):
        raise ValueError("expected True or False, for example True")
    return value


def _whole_number(example: int) -> _Value:
    def read(value: Any) -> int:
        if isinstance(value, bool) or not isinstance(value, int) or value < 1:
            raise ValueError(f"expected a whole number of 1 or more, for example {example}")
        return value

    return read


def _texts(value: Any, example: str) -> list[str]:
    texts = list(value) if isinstance(value, Iterable) and not isinstance(value, str) else None
    if texts is None or not all(isinstance(each, str) for each in texts):
        raise ValueError(f"expected a list of texts, for example {example}")
    return texts


def _parties(value: Any) -> tuple[str, ...]:
    codes = list(dict.fromkeys(each.upper() for each in _texts(value, "['NL-ABC'] or ['*']")))
    for code in codes:
        if not PATTERN.fullmatch(code):
            raise ValueError("expected CC-XXX, for example NL-ABC, or a pattern such as NL-* or *")
    return tuple(codes)


def _criterion(value: Any) -> str:
    criterion = str(value).strip().lower()
    if criterion not in CRITERIA:
        raise ValueError(f"expected one of {', '.join(CRITERIA)}, for example {CRITERIA[0]}")
    return criterion


def _modules(value: Any) -> tuple[str, ...]:
    modules = tuple(dict.fromkeys(each.lower() for each in _texts(value, "['locations']")))
    unknown = [each for each in modules if not ModuleID.of(each).known]
    if unknown:
        raise ValueError(
            f"expected modules among {', '.join(each.value for each in ModuleID)}, for example ['locations']"
        )
    return modules


def _endpoints(value: Any) -> tuple[Endpoint, ...]:
    if not isinstance(value, Mapping):
        raise ValueError(
            "expected a mapping of modules to URLs, for example {'commands': 'https://cpo.example.com/commands'}"
        )
    callable_modules = sorted({route.module for route in OUTGOING} - {ModuleID.CREDENTIALS.value})
    found = {str(module).lower(): str(url) for module, url in value.items()}
    for module, url in found.items():
        if module not in callable_modules:
            raise ValueError(f"expected modules among {', '.join(callable_modules)}, for example commands")
        if not re.match(r"https?://[^\s/]", url, re.IGNORECASE):
            raise ValueError("expected absolute URLs, for example https://cpo.example.com/ocpi/2.1.1/commands")
    return tuple(Endpoint(identifier=ModuleID.of(module), url=url.partition("#")[0]) for module, url in found.items())


def _hosts(value: Any) -> tuple[str, ...]:
    example = "['api.example.com']"
    try:
        return tuple(dict.fromkeys(canonical_host(each.strip()) for each in _texts(value, example)))
    except ValueError:
        raise ValueError(f"expected a list of host names, for example {example}") from None


def _extensions(value: Any) -> str | None:
    """Read extensions from a mapping, or from the stored JSON object."""
    expected = 'expected a mapping of names to values, or a JSON object, for example {"vendor_id": 7}'
    try:
        found = parse(value) if isinstance(value, str) else value
        if not isinstance(found, Mapping):
            raise ValueError(expected)
        plain = require_extensions(Credentials, found)
    except NotJson as error:
        raise ValueError(f"{expected}: {error.message}") from None
    except InvalidObject as error:
        raise ValueError(error.findings[0].message if error.findings else error.message) from None
    return dump(plain).decode() if plain else None


def _zone(value: Any) -> str:
    zone_of(str(value))
    return str(value)


def _matrix(value: Any) -> str:
    matrix = value if isinstance(value, SupportMatrix) else SupportMatrix.from_csv(str(value))
    return matrix.to_csv()


def _severity(value: Any) -> str:
    try:
        return Severity(value).value
    except ValueError:
        raise ValueError(f"expected one of {', '.join(each.value for each in Severity)}, for example error") from None


def _actions(value: Any) -> tuple[RuleAction, ...]:
    if not isinstance(value, Mapping):
        try:
            value = {each.rule: each.action for each in value}
        except (AttributeError, TypeError):
            raise ValueError(
                "expected a mapping of rules to severities, for example {'token.unknown': 'note'}"
            ) from None
    return tuple(RuleAction(rule=rule, action=action) for rule, action in Policy(Severity.ERROR, value).actions)


def _rate(value: Any) -> Decimal:
    with suppress(InvalidOperation):
        rate = Decimal(str(value))
        if is_usable_rate(rate):
            return rate
    raise ValueError(f"expected a number of {MIN_RATE} or more, for example 2")


_READERS: Mapping[str, _Value] = {
    "base64_token": _flag,
    "refuses": _severity,
    "actions": _actions,
    "matrix": _matrix,
    "append_charging_periods": _flag,
    "requests_per_second": _rate,
    "concurrent_requests": _whole_number(4),
    "inbound_requests_per_second": _whole_number(200),
    "inbound_concurrent_requests": _whole_number(100),
    "inbound_bytes_per_minute": _whole_number(256 * 1024 * 1024),
    "trailing_slash": _flag,
    "announce_slash": _flag,
    "page_limit": _whole_number(100),
    "allowed_parties": _parties,
    "owner_from": _criterion,
    "headers": read_headers,
    "time_zone": _zone,
    "patches_sessions": _flag,
    "cdr_id_is_session_id": _flag,
    "required_modules": _modules,
    "push_tokens": _flag,
    "authorization_ids": _flag,
    "absent_as_null": _flag,
    "credentials_extensions": _extensions,
    "endpoints": _endpoints,
    "max_objects": _whole_number(1_000_000),
    "max_bytes": _whole_number(1_000_000_000),
    "hosts": _hosts,
    "without_locations": _flag,
    "readings": stored_readings,
    "plausibility": stored_plausibility,
}
