"""The OpenAPI description: valid, whole, and of what is mounted."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import jsonschema_rs
import pytest
import schemathesis

from ocpi_emsp import Limits, SupportMatrix, errors
from ocpi_emsp.errors import OcpiError, Refusal
from ocpi_emsp.routes import INCOMING, VERSION, Route
from ocpi_emsp.settings import HttpLimits
from ocpi_emsp.storage import MemoryStore
from ocpi_emsp.support import FROM_CPO
from ocpi_emsp.testing.cpo import samples
from ocpi_emsp.testing.cpo.wire import encode
from our_emsp import URL, make_emsp
from two_parties import two_parties

METHODS = ("GET", "PUT", "POST", "PATCH", "DELETE", "HEAD", "OPTIONS", "TRACE", "PROPFIND")
PLACES = {
    "country_code": "NL", "party_id": "TNM", "location_id": "LOC1", "evse_uid": "LOC1-E1", "connector_id": "1",
    "session_id": "SES1", "tariff_id": "TAR1", "cdr_id": "CDR1", "token_uid": "T0", "command": "START_SESSION",
    "uid": "x",
}  # fmt: skip


@pytest.fixture(scope="module")
def document() -> dict[str, Any]:
    """Of everything that there is."""
    return make_emsp().openapi()


def operations(document: dict[str, Any]) -> Iterator[tuple[str, str, dict[str, Any]]]:
    for path, methods in document["paths"].items():
        for method, operation in methods.items():
            yield path, method.upper(), operation


def path_of(route: Route) -> str:
    below = [] if route.module in ("versions", VERSION) else [VERSION]
    return "/" + "/".join([*below, route.module, *route.path])


def nodes(node: Any) -> Iterator[dict[str, Any]]:
    if isinstance(node, dict):
        yield node
    for each in node.values() if isinstance(node, dict) else node if isinstance(node, list) else ():
        yield from nodes(each)


# --- as a document ----------------------------------------------------------------------------------------------------


def test_it_is_valid_openapi_3_1(document: dict[str, Any]) -> None:
    loaded = schemathesis.openapi.from_dict(json.loads(json.dumps(document)))
    assert loaded.specification.name.startswith("Open API 3.1")
    loaded.validate()
    with pytest.raises(jsonschema_rs.ValidationError):
        schemathesis.openapi.from_dict({**document, "paths": {"/versions": {"get": {"responses": 1}}}}).validate()


def test_its_schemas_are_valid_by_json_schema_2020_12(document: dict[str, Any]) -> None:
    for schema in document["components"]["schemas"].values():
        jsonschema_rs.meta.validate({"$schema": "https://json-schema.org/draft/2020-12/schema", **schema})


def test_every_reference_leads_somewhere_and_every_component_is_used(document: dict[str, Any]) -> None:
    wanted = {node["$ref"] for node in nodes(document) if "$ref" in node}
    for reference in wanted:
        target: Any = document
        for step in reference.removeprefix("#/").split("/"):
            target = target[step]
    parts = document["components"]
    named = {f"#/components/{part}/{name}" for part in ("responses", "headers") for name in parts[part]}
    assert named <= wanted
    entrances = {"LocationChanges", "EvseChanges", "ConnectorChanges", "Success", "Failure", "AsReceived", "Finding"}
    assert entrances <= {each.rpartition("/")[2] for each in wanted}


# --- what is mounted --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("matrix", [SupportMatrix.default(), SupportMatrix.full()], ids=["default", "full"])
def test_it_has_every_route_that_the_matrix_switches_on_and_no_other(matrix: SupportMatrix) -> None:
    document = make_emsp(matrix=matrix).openapi()
    described = {(path, method): each["operationId"] for path, method, each in operations(document)}
    assert described == {(path_of(route), route.method): route.name for route in INCOMING if route.on(matrix)}
    assert all(each["summary"] and each["tags"] for _, _, each in operations(document))


def test_what_is_switched_off_goes(document: dict[str, Any]) -> None:
    matrix = SupportMatrix.full().switch(False, module="cdrs", direction=FROM_CPO, method="GET", path="/cdrs/:path")
    fewer = make_emsp(matrix=matrix).openapi()
    assert document["paths"].keys() - fewer["paths"].keys() == {"/2.1.1/cdrs/{cdr_id}"}


def test_methods_that_it_does_not_list_are_405_and_allow_names_those_that_it_does(document: dict[str, Any]) -> None:
    world = two_parties(MemoryStore())
    for path, listed in document["paths"].items():
        below = path.format(**PLACES).removeprefix("/2.1.1/")
        if path in ("/versions", "/2.1.1"):
            continue
        for method in METHODS:
            if method.lower() not in listed:
                answer = world.push("owner", method, below)
                assert answer.status == 405, (method, path)
                assert {each.lower() for each in str(answer.header("allow")).split(", ")} == listed.keys()


def test_who_we_are_and_our_limits_are_in_it() -> None:
    document = make_emsp(limits=Limits(http=HttpLimits(page_size=7, max_page_size=9))).openapi()
    assert document["servers"] == [{"url": URL}]
    assert document["info"]["title"].startswith("Be Charge: ")
    listed = document["paths"]["/2.1.1/tokens"]["get"]["parameters"]
    limit = next(each for each in listed if each.get("name") == "limit")
    assert limit["schema"] == {"type": "integer", "minimum": 1, "default": 7}
    assert "9 at most" in limit["description"]
    (scheme,) = document["components"]["securitySchemes"].items()
    assert scheme[0] == "Token"
    assert (scheme[1]["in"], scheme[1]["name"]) == ("header", "Authorization")
    assert document["security"] == [{"Token": []}]


# --- requests ---------------------------------------------------------------------------------------------------------


def test_every_parameter_of_a_path_is_described(document: dict[str, Any]) -> None:
    for path, _, operation in operations(document):
        parameters = [each for each in operation["parameters"] if each.get("in") == "path"]
        assert [each["name"] for each in parameters] == [part[1:-1] for part in path.split("/") if part[:1] == "{"]
        assert all(each["required"] and each["schema"]["minLength"] == 1 for each in parameters)


def test_what_has_a_body_says_which(document: dict[str, Any]) -> None:
    for _, method, operation in operations(document):
        assert ("requestBody" in operation) == (method in ("PUT", "POST", "PATCH")), operation["operationId"]
        if method == "PATCH":
            schema = operation["requestBody"]["content"]["application/json"]["schema"]["$ref"]
            assert schema.endswith("Changes")


def test_the_query_of_a_list_and_of_an_authorization(document: dict[str, Any]) -> None:
    listed = document["paths"]["/2.1.1/tokens"]["get"]["parameters"]
    assert [each.get("name") for each in listed[:-2]] == ["date_from", "date_to", "offset", "limit", "after", "total"]
    asked = document["paths"]["/2.1.1/tokens/{token_uid}/authorize"]["post"]
    assert [each.get("name") for each in asked["parameters"][:-2]] == ["token_uid", "type"]
    assert asked["requestBody"]["required"] is False


def test_every_request_may_have_ids_of_its_own(document: dict[str, Any]) -> None:
    names = ("X-Request-ID", "X-Correlation-ID")
    for _, _, operation in operations(document):
        assert operation["parameters"][-2:] == [{"$ref": f"#/components/parameters/{name}"} for name in names]
    assert [document["components"]["parameters"][name]["in"] for name in names] == ["header", "header"]


def test_lengths_numbers_patterns_and_times_are_in_the_schemas(document: dict[str, Any]) -> None:
    schemas = document["components"]["schemas"]
    location = schemas["Location"]
    assert location["properties"]["id"] == {"type": "string", "maxLength": 39}
    assert location["properties"]["last_updated"] == {"type": "string", "format": "date-time"}
    assert schemas["Session"]["properties"]["kwh"] == {"type": "number"}
    assert schemas["Status"]["enum"][0] == "AVAILABLE"
    assert not [node for node in nodes(schemas) if r"\Z" in str(node.get("pattern", ""))]
    assert not [node for node in nodes(schemas) if node.get("additionalProperties") is False], "extensions are allowed"


def test_documents_that_the_specification_allows_are_valid(document: dict[str, Any]) -> None:
    place = samples.location()
    allowed = {
        "Location": place,
        "Evse": samples.evse(),
        "Connector": samples.connector(),
        "Session": samples.session(at=place),
        "Cdr": {**samples.cdr(tariffs=[samples.tariff()]), "vendor_extension": {"x": 1}},
        "Tariff": samples.tariff(),
        "Token": samples.token(),
        "LocationChanges": {"evses": [{"uid": "1", "status": "AVAILABLE"}]},
        "EvseChanges": {"status": "CHARGING"},
    }
    for name, example in allowed.items():
        validator(document, name).validate(json.loads(encode(example)))


@pytest.mark.parametrize(
    ("name", "wrong"),
    [
        ("Connector", {**samples.connector(), "id": "x" * 37}),
        ("Connector", {**samples.connector(), "voltage": "230"}),
        ("Location", {**samples.location(), "coordinates": {"latitude": "51.0", "longitude": "3.729900"}}),
        ("Location", {**samples.location(), "last_updated": "yesterday"}),
        ("Tariff", {**samples.tariff(), "elements": []}),
        ("TariffChanges", {}),
        ("LocationChanges", {"evses": [{"status": "AVAILABLE"}]}),
    ],
)
def test_documents_that_it_does_not_are_not(document: dict[str, Any], name: str, wrong: Any) -> None:
    assert not validator(document, name).is_valid(json.loads(encode(wrong)))


def validator(document: dict[str, Any], name: str) -> jsonschema_rs.Validator:
    schema = {"$ref": f"#/components/schemas/{name}", "components": document["components"]}
    return jsonschema_rs.Draft202012Validator(schema, validate_formats=True)


# --- answers ----------------------------------------------------------------------------------------------------------


def refusals() -> list[type[Refusal]]:
    found = [each for each in vars(errors).values() if isinstance(each, type) and issubclass(each, Refusal)]
    return [each for each in found if each is not Refusal]


def test_every_status_that_a_refusal_has_is_described(document: dict[str, Any]) -> None:
    """A class added to errors.py is described without a change: by its status, its code and its docstring."""
    statuses = {status for _, _, each in operations(document) for status in each["responses"]}
    assert statuses == {str(each.http_status) for each in refusals()} | {"200", "201", str(OcpiError.http_status)}
    for kind in refusals():
        if kind.http_status != 200:
            assert kind.status_code in codes(document, kind.http_status), kind
    assert codes(document, 404) == [2000, 2003]
    assert codes(document, 500) == [3000]


def codes(document: dict[str, Any], status: int) -> Any:
    responses = (each["responses"] for _, _, each in operations(document))
    name = next(each[str(status)] for each in responses if str(status) in each)["$ref"].rpartition("/")[2]
    schema = document["components"]["responses"][name]["content"]["application/json"]["schema"]
    return schema["allOf"][1]["properties"]["status_code"]["enum"]


@pytest.mark.parametrize(
    "refusal",
    [
        errors.NotAuthenticated(""),
        errors.MethodNotAllowed("", allow=["GET"]),
        errors.UnsupportedEncoding(""),
        errors.TooManyRequests("", retry_after=1),
    ],
    ids=lambda each: type(each).__name__,
)
def test_the_headers_of_refusals_are_described(document: dict[str, Any], refusal: Refusal) -> None:
    listed = document["paths"]["/2.1.1/tokens"]["get"]["responses"][str(refusal.http_status)]["$ref"]
    headers = document["components"]["responses"][listed.rpartition("/")[2]]["headers"]
    assert {name for name, _ in refusal.headers} <= {name.lower() for name in headers}
    assert {"X-Request-ID", "X-Correlation-ID"} <= headers.keys()


def test_the_headers_of_answers_are_described(document: dict[str, Any]) -> None:
    page = document["paths"]["/2.1.1/tokens"]["get"]["responses"]["200"]
    assert {"X-Total-Count", "X-Limit", "Link"} <= page["headers"].keys()
    assert "Location" in document["paths"]["/2.1.1/cdrs"]["post"]["responses"]["201"]["headers"]
