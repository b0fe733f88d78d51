"""version_information_endpoint.md: versions and version details. The rules of the package are in common.py."""

from __future__ import annotations

from typing import Annotated, ClassVar

from attrs import frozen
from msgspec import Meta

from ocpi_emsp.models.enums import ModuleID, VersionNumber
from ocpi_emsp.scalars import Url


@frozen(kw_only=True)
class Version:
    """A version that a party offers, and the URL of its details."""

    clause: ClassVar[str] = "version_information_endpoint.md#version-class"

    version: VersionNumber
    url: Url


@frozen(kw_only=True)
class Endpoint:
    """The URL of a module."""

    clause: ClassVar[str] = "version_information_endpoint.md#endpoint-class"

    identifier: ModuleID
    url: Url


@frozen(kw_only=True)
class VersionDetail:
    """The modules of one version."""

    clause: ClassVar[str] = "version_information_endpoint.md#data-1"

    version: VersionNumber
    endpoints: Annotated[tuple[Endpoint, ...], Meta(min_length=1)]
