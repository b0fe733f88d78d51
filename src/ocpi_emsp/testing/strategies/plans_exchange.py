"""The agreement within tokens, commands, credentials, versions and the envelope.

Rules of this module: one small plan per model; it repeats nothing that the annotations already say.
"""

from __future__ import annotations

from datetime import UTC, datetime

from hypothesis import strategies as st

from ocpi_emsp.models import (
    Allowed,
    AuthorizationInfo,
    Credentials,
    Endpoint,
    Envelope,
    LocationReferences,
    ModuleID,
    ReserveNow,
    Version,
    VersionDetail,
    VersionNumber,
)
from ocpi_emsp.testing.strategies.build import Builder, Given, Strategies, plan
from ocpi_emsp.testing.strategies.scalars import identifiers, moments

_BASE = "https://example.com/ocpi/cpo"
_LATER = datetime(2100, 1, 1, tzinfo=UTC)


@plan(LocationReferences)
def _location_references(builder: Builder, draw: st.DrawFn, given: Given) -> Strategies:
    """Name connectors only if their EVSE is unambiguous."""
    evses = given["evse_uids"] if "evse_uids" in given else draw(_ids(39, builder.full))
    connectors = _ids(36, builder.full) if len(evses) == 1 else st.just(())
    return {"evse_uids": evses, "connector_ids": connectors}


def _ids(most: int, full: bool) -> st.SearchStrategy[tuple[str, ...]]:
    limit = 1 if full else 2
    return st.lists(identifiers(most), min_size=full, max_size=limit, unique_by=str.lower).map(tuple)


@plan(AuthorizationInfo)
def _authorization_info(builder: Builder, draw: st.DrawFn, given: Given) -> Strategies:
    """Give a location only to a driver who may charge."""
    allowed = given.get("allowed") or draw(st.just(Allowed.ALLOWED) if builder.full else st.sampled_from(Allowed))
    location = builder.maybe(builder.model(LocationReferences)) if allowed == Allowed.ALLOWED else st.just(None)
    return {"allowed": allowed, "location": location}


@plan(ReserveNow)
def _reserve_now(_builder: Builder, _draw: st.DrawFn, _given: Given) -> Strategies:
    return {"expiry_date": moments(_LATER, _LATER.replace(year=2105))}


@plan(Credentials)
def _credentials(_builder: Builder, _draw: st.DrawFn, _given: Given) -> Strategies:
    return {"url": st.just(f"{_BASE}/versions") | st.just("https://cpo.example.org/ocpi/versions")}


@plan(Version)
def _version(_builder: Builder, draw: st.DrawFn, given: Given) -> Strategies:
    version = given.get("version") or draw(st.sampled_from(list(reversed(VersionNumber))))
    return {"version": version, "url": f"{_BASE}/{version}"}


@plan(Endpoint)
def _endpoint(_builder: Builder, draw: st.DrawFn, given: Given) -> Strategies:
    identifier = given.get("identifier") or draw(st.sampled_from(ModuleID))
    return {"identifier": identifier, "url": f"{_BASE}/2.1.1/{identifier}"}


@plan(VersionDetail)
def _version_detail(builder: Builder, _draw: st.DrawFn, _given: Given) -> Strategies:
    """Include credentials, which every party has (version_information_endpoint.md)."""
    others = st.sampled_from([module for module in ModuleID if module != ModuleID.CREDENTIALS])
    rest = st.lists(others, min_size=builder.full, max_size=6, unique=True)
    endpoints = rest.map(lambda modules: tuple(map(_served, [ModuleID.CREDENTIALS, *modules])))
    return {"version": VersionNumber.V2_1_1, "endpoints": endpoints}


def _served(module: ModuleID) -> Endpoint:
    return Endpoint(identifier=module, url=f"{_BASE}/2.1.1/{module}")


@plan(Envelope)
def _envelope(_builder: Builder, _draw: st.DrawFn, _given: Given) -> Strategies:
    codes = (1000, 2000, 2001, 2002, 2003, 3000, 3001, 3002, 3003)
    return {"status_code": st.sampled_from(codes)}
