"""The endpoints that a partner lists, and which of them are used (version_information_endpoint.md).

Rules of this module (docs/spec-choices.md):
- each entry is read by itself; only the endpoints that we call must be usable, others are skipped and noted;
- OCPI 2.2 lists a module twice, with a ``role``: SENDER for modules that we pull, RECEIVER for modules that we push;
- the fragment of a URL (``#...``) is not part of a call: it is dropped, and noted;
- of several URLs of a module the first usable one counts; a module with an endpoint in the party's profile needs none.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import msgspec
from attrs import evolve, frozen

from ocpi_emsp import logs
from ocpi_emsp.codec import decode
from ocpi_emsp.codec.patch import items, members
from ocpi_emsp.codec.wrapping import unwrap
from ocpi_emsp.errors import AnswerUnusable, InvalidObject, NotJson, OcpiError
from ocpi_emsp.flows.calls.fetch_one import read
from ocpi_emsp.flows.core.context import Context
from ocpi_emsp.flows.credentials.own_url import require_foreign
from ocpi_emsp.flows.credentials.places import Places
from ocpi_emsp.flows.parties.owner_evidence import text_at
from ocpi_emsp.flows.parties.party import Profile, matrix_of
from ocpi_emsp.models import Endpoint, ModuleID, VersionDetail
from ocpi_emsp.routes import OUTGOING

MOST_ENDPOINTS = 200
"""Most endpoints of a version: 2.1.1 has eight modules, vendors add a few, and each request of a party reads all of
them.
"""
_PULLED = frozenset({"locations", "sessions", "cdrs", "tariffs"})


@frozen
class Listed:
    """An entry of the version details."""

    module: str
    """The module's name, in lower case."""
    url: str
    role: str = ""
    """The role of OCPI 2.2, in upper case."""
    endpoint: Endpoint | None = None
    """The endpoint; None if it is unreadable."""
    fragment: str = ""
    """The dropped fragment of its URL."""

    @property
    def is_other_side(self) -> bool:
        """True if it is for partners in the opposite role."""
        wanted = "SENDER" if self.module in _PULLED else "RECEIVER"
        return self.module != ModuleID.CREDENTIALS and self.role in {"SENDER", "RECEIVER"} - {wanted}


@frozen
class Selected:
    """The result of selecting among the entries."""

    endpoints: tuple[Endpoint, ...]
    """One endpoint for each module with a usable one."""
    unusable: dict[str, OcpiError]
    """Modules that we call and cannot use, with the reason."""
    notes: tuple[str, ...]


def read_details(data: msgspec.Raw) -> tuple[VersionDetail, list[Listed]]:
    """Return the version details, and all entries in them. Raises AnswerUnusable if nothing is readable."""
    answered = unwrap(data)
    try:
        parts = members(answered.document)
        documents = items(parts["endpoints"])
        _require_few(documents)
        listed = [_listed(document) for document in documents]
    except (InvalidObject, NotJson, KeyError):
        return read(VersionDetail, data), []  # raises, with the reason
    good = [bytes(document) for document, each in zip(documents, listed, strict=True) if each.endpoint is not None]
    if not good or "version" not in parts:
        return read(VersionDetail, data), listed
    if answered.around:
        logs.info("answer.unwrapped", kind=VersionDetail.__name__, note=answered.note)
    readable = b'{"version":' + bytes(parts["version"]) + b',"endpoints":[' + b",".join(good) + b"]}"
    return read(VersionDetail, readable), listed


def _listed(document: msgspec.Raw) -> Listed:
    data = bytes(document)
    module, url, role = (text_at(data, name) for name in ("identifier", "url", "role"))
    try:
        endpoint = decode(Endpoint, document)
    except (InvalidObject, NotJson):
        return Listed(module.lower(), url, role.upper())
    called, _, fragment = endpoint.url.partition("#")
    return Listed(endpoint.identifier.lower(), called, role.upper(), evolve(endpoint, url=called), fragment)


def _require_few(documents: Sequence[msgspec.Raw]) -> None:
    """Raise AnswerUnusable for more endpoints than a partner can have, before any of them is read."""
    if len(documents) > MOST_ENDPOINTS:
        raise AnswerUnusable(f"the details name {len(documents)} endpoints, at most {MOST_ENDPOINTS} are accepted")


def select(context: Context, profile: Profile, places: Places, listed: Sequence[Listed]) -> Selected:
    """Select the endpoints to use."""
    needed = _called(context, profile) - {endpoint.identifier.lower() for endpoint in profile.endpoints}
    endpoints, unusable, notes = list[Endpoint](), dict[str, OcpiError](), list[str]()
    for module in dict.fromkeys(each.module for each in listed):
        entries = sorted((each for each in listed if each.module == module), key=lambda each: each.is_other_side)
        faults = [(each, _fault(context, places, each)) for each in entries]
        usable = [each for each, fault in faults if fault is None]
        bad = [fault for _, fault in faults if fault is not None]
        if not usable and module in needed:
            unusable[module] = bad[0]
            continue
        notes += [f"{_named(module)}: an endpoint is skipped: {fault.message}" for fault in bad]
        if usable and usable[0].endpoint is not None:
            endpoints.append(usable[0].endpoint)
            notes += _odd(usable)
    return Selected(tuple(endpoints), unusable, tuple(notes))


def _called(context: Context, profile: Profile) -> set[str]:
    """Return the modules that we call, or that the partner must offer."""
    matrix = matrix_of(profile, context.matrix)
    return {route.module for route in OUTGOING if route.on(matrix)} | required_modules(context, profile)


def required_modules(context: Context, profile: Profile) -> frozenset[str]:
    """Return the modules that a partner must offer: credentials, and those of its profile, or of the eMSP's
    settings.
    """
    wanted = context.required_modules if profile.required_modules is None else profile.required_modules
    return frozenset({ModuleID.CREDENTIALS.value, *(module.lower() for module in wanted)})


def missing_modules(context: Context, profile: Profile, endpoints: Iterable[Endpoint]) -> list[str]:
    """Return the required modules that a partner does not offer."""
    offered = {endpoint.identifier.lower() for endpoint in (*endpoints, *profile.endpoints)}
    return sorted(required_modules(context, profile) - offered)


def _fault(context: Context, places: Places, entry: Listed) -> OcpiError | None:
    """Return why an entry is unusable; None if it is usable."""
    name = f"the URL of {_named(entry.module)}"
    if "://" not in entry.url:
        return AnswerUnusable(f"{name} is not absolute: '{entry.url[:200]}'")
    if entry.endpoint is None:
        what = f"the endpoint of {entry.module[:40]} cannot be read" if entry.module else "it has no identifier"
        return AnswerUnusable(f"{what}: '{entry.url[:200]}'")
    try:
        require_foreign(context.identity, entry.url)
        context.check_url(entry.url)
        places.require(entry.url)
    except OcpiError as error:
        return error
    return None


def _named(module: str) -> str:
    return module[:40] or "an entry without an identifier"


def _odd(usable: Sequence[Listed]) -> list[str]:
    """Return oddities of the usable entries of a module; the first one is used."""
    first, module = usable[0], usable[0].module[:40]
    urls = {each.url for each in usable if each.is_other_side == first.is_other_side}
    notes = []
    if first.fragment:
        notes.append(f"{module} is listed with the fragment #{first.fragment[:40]}, which is dropped")
    if len(urls) > 1:
        notes.append(f"{module} is listed with {len(urls)} URLs, the first one is used: {first.url}")
    if first.is_other_side:
        notes.append(f"{module} is listed with the role {first.role} alone, which is used")
    return notes
