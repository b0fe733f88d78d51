"""Versions and version details (version_information_endpoint.md), generated from the mounted routes."""

from __future__ import annotations

from ocpi_emsp.codec import encode
from ocpi_emsp.flows.inbound.request import Incoming
from ocpi_emsp.models import Endpoint, ModuleID, Version, VersionDetail, VersionNumber
from ocpi_emsp.routes import INCOMING, MODULES, VERSION
from ocpi_emsp.support import SupportMatrix
from ocpi_emsp.wire import Response


async def versions(incoming: Incoming) -> Response:
    """Return the versions that we offer: 2.1.1."""
    offered = Version(version=VersionNumber.V2_1_1, url=f"{incoming.context.identity.url}/{VERSION}")
    return incoming.answer(encode([offered]))


async def version_details(incoming: Incoming) -> Response:
    """Return our endpoints, with a trailing slash unless the party's profile says otherwise.

    With it, clients that resolve relative URLs keep the module; clients that concatenate double the slash, which is
    read as one.
    """
    url, slash = incoming.context.identity.endpoint, "/" if incoming.party.profile.announce_slash else ""
    endpoints = tuple(
        Endpoint(identifier=ModuleID.of(module), url=url(module) + slash) for module in mounted(incoming.matrix)
    )
    return incoming.answer(encode(VersionDetail(version=VersionNumber.V2_1_1, endpoints=endpoints)))


def mounted(matrix: SupportMatrix) -> list[str]:
    """Return the modules with at least one route from the CPO that is switched on."""
    on = {route.module for route in INCOMING if route.on(matrix)}
    return [module for module in MODULES if module in on]
