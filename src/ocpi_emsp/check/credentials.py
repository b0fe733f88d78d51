"""version_information_endpoint.md and credentials.md: what a party states about itself.

Rules of this module: no message quotes a token.
"""

from __future__ import annotations

import re
from collections.abc import Iterator

from ocpi_emsp.check.examples import broken, broken_at
from ocpi_emsp.check.registry import NOTE, Chapter, Hit, repeated
from ocpi_emsp.codec.iso3166 import ALPHA3
from ocpi_emsp.codec.readings import shown
from ocpi_emsp.models import Credentials, ModuleID, Version, VersionDetail, VersionNumber

VERSIONS = Chapter("Versions and endpoints", "version_information_endpoint.md")
CREDENTIALS = Chapter("Credentials", "credentials.md")

_PARTY_ID = re.compile(r"[A-Za-z0-9]{3}", re.ASCII)


@VERSIONS.rule(
    "version.deprecated",
    "Version 2.1 is deprecated and must not be used; 2.1.1 replaces it.",
    broken(Version, version="2.1"),
    Version,
    VersionDetail,
    severity=NOTE,
    clause="version_information_endpoint.md#versionnumber-enum",
)
def version_deprecated(value: Version | VersionDetail) -> Iterator[Hit]:
    if value.version == VersionNumber.V2_1:
        yield ("version",), "version 2.1 is deprecated and replaced by 2.1.1"


@VERSIONS.rule(
    "version_detail.credentials",
    "The credentials endpoint is missing; every implementation must have it.",
    broken_at(VersionDetail, "/endpoints/0", ...),
    clause="version_information_endpoint.md#moduleid-enum",
)
def detail_credentials(detail: VersionDetail) -> Iterator[Hit]:
    if all(endpoint.identifier.lower() != ModuleID.CREDENTIALS for endpoint in detail.endpoints):
        yield ("endpoints",), "the credentials endpoint is missing"


@VERSIONS.rule(
    "endpoint.identifier.unique",
    "Two endpoints have the same identifier, so it is unclear which one serves the module.",
    broken_at(VersionDetail, "/endpoints/1/identifier", "credentials"),
    clause="version_information_endpoint.md#endpoint-class",
)
def endpoint_unique(detail: VersionDetail) -> Iterator[Hit]:
    for index in repeated(endpoint.identifier.lower() for endpoint in detail.endpoints):
        identifier = shown(str(detail.endpoints[index].identifier))
        yield ("endpoints", index, "identifier"), f"{identifier} is already listed"


@CREDENTIALS.rule(
    "credentials.token.whitespace",
    "The token contains whitespace, which an Authorization header cannot carry.",
    broken(Credentials, token="ebf3b399 779f"),
    clause="transport_and_format.md#request-format",
)
def token_whitespace(credentials: Credentials) -> Iterator[Hit]:
    if credentials.token.strip() and any(character.isspace() for character in credentials.token):
        yield ("token",), "the token contains whitespace"


@CREDENTIALS.rule(
    "credentials.party_id.form", "The party_id is not three letters or digits.", broken(Credentials, party_id="E-A")
)
def party_id_form(credentials: Credentials) -> Iterator[Hit]:
    if len(credentials.party_id) <= 3 and not _PARTY_ID.fullmatch(credentials.party_id):
        yield ("party_id",), f"{shown(credentials.party_id)} is not three letters or digits"


@CREDENTIALS.rule(
    "credentials.country_code.unknown",
    "The country_code is not an ISO 3166-1 alpha-2 code.",
    broken(Credentials, country_code="XX"),
)
def country_code_unknown(credentials: Credentials) -> Iterator[Hit]:
    code = credentials.country_code
    if len(code) <= 2 and code.upper() not in ALPHA3:
        yield ("country_code",), f"{shown(code)} is not an ISO 3166-1 alpha-2 code"
