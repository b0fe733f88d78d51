"""The table of paths: complete against the matrix and the specification's own URL tables, and readable both ways."""

import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings, strategies as st

from ocpi_emsp import SupportMatrix
from ocpi_emsp.flows.serving.dispatch import FLOWS
from ocpi_emsp.routes import INCOMING, MODULES, OUTGOING, VERSION, Match, Route, below, incoming, match, outgoing
from ocpi_emsp.support import FROM_CPO, TO_CPO

ROUTES = (*INCOMING, *OUTGOING)
URLS = json.loads((Path(__file__).parent / "vectors/spec/urls.json").read_text("utf-8"))
ALWAYS_ON = {"versions.get", "version_details.get", "credentials.get", "commands.result"}
each_route = pytest.mark.parametrize("route", INCOMING, ids=lambda route: route.name)


def matched(path: str) -> Match:
    found = match(path)
    assert found is not None, path
    return found


# --- against the matrix ---------------------------------------------------------------------------------------------


def test_every_row_of_the_matrix_has_a_route_for_each_method() -> None:
    switched = {(route.module, route.direction, route.method, route.row) for route in ROUTES if route.row}
    rows = {
        (row.module, row.direction, method, row.path)
        for row in SupportMatrix.default().rows
        for method in row.methods.split("|")
    }
    assert switched == rows


def test_only_what_the_specification_requires_of_every_emsp_is_always_on() -> None:
    assert {route.name for route in ROUTES if route.row is None} == ALWAYS_ON
    nothing = SupportMatrix(())
    assert {route.name for route in ROUTES if route.on(nothing)} == ALWAYS_ON


@pytest.mark.parametrize("matrix", [SupportMatrix.default(), SupportMatrix.full()])
def test_a_route_is_on_where_its_row_is(matrix: SupportMatrix) -> None:
    for route in ROUTES:
        if route.row is not None:
            assert route.on(matrix) == matrix.supports(route.module, route.direction, route.method, route.row)


def test_every_incoming_route_has_a_flow_and_every_flow_a_route() -> None:
    assert {route.name for route in INCOMING} == set(FLOWS)
    assert len(INCOMING) == len(FLOWS)


def test_names_are_unique_in_each_direction() -> None:
    for direction, find in ((FROM_CPO, incoming), (TO_CPO, outgoing)):
        routes = [route for route in ROUTES if route.direction == direction]
        assert [find(route.name) for route in routes] == routes


def test_modules_are_those_of_the_emsp_interface() -> None:
    assert MODULES == ("credentials", "locations", "sessions", "cdrs", "tariffs", "tokens", "commands")


# --- against the specification's tables -----------------------------------------------------------------------------


def spec_rows(interface: str, *, available: bool) -> set[tuple[str, str, str]]:
    return {
        (row["module"], row["method"], row["path"])
        for row in URLS
        if row["interface"] == interface and row["available"] == available
    }


def test_every_available_row_of_the_emsp_interface_has_a_route() -> None:
    ours = {(route.module, route.method, "/".join(route.path)) for route in INCOMING if route.module in MODULES}
    wanted = spec_rows("eMSP", available=True)
    # mod_commands.md 2.2 leaves the URL to the eMSP ("no structure defined"), so its one-level spelling is not needed
    assert wanted - ours == {("commands", "POST", "{command}")}
    assert ours - wanted == {("credentials", "PATCH", "")}


def test_no_unavailable_row_of_the_emsp_interface_has_a_route_but_patch_credentials() -> None:
    ours = {(route.module, route.method, "/".join(route.path)) for route in INCOMING}
    assert ours & spec_rows("eMSP", available=False) == {("credentials", "PATCH", "")}


def test_every_available_row_of_the_cpo_interface_can_be_called() -> None:
    ours = {(route.module, route.method, "/".join(route.path)) for route in OUTGOING}
    commands = {(module, method, path) for module, method, path in ours if module == "commands"}
    assert spec_rows("CPO", available=True) - ours == {("commands", "POST", "{command}")}
    assert ours - commands - spec_rows("CPO", available=True) == {("credentials", "PATCH", "")}
    assert {path for _, _, path in commands} == {"RESERVE_NOW", "START_SESSION", "STOP_SESSION", "UNLOCK_CONNECTOR"}


@pytest.mark.parametrize("row", [row for row in URLS if row["interface"] == "eMSP" and row["path"]])
def test_an_address_of_the_specification_is_read(row: dict[str, Any]) -> None:
    path = row["path"].replace("{", "a").replace("}", "")
    found = match(f"/{VERSION}/{row['module']}/{path}")
    one_level_of_commands = (row["module"], row["path"]) == ("commands", "{command}")
    assert (found is None) == one_level_of_commands
    if found is not None:
        names = [part[1:-1] for part in row["path"].split("/") if part.startswith("{")]
        assert list(found.params) == names
        assert [found.params[name] for name in names] == [f"a{name}" for name in names]
        assert (row["method"] in found.routes) == row["available"]


# --- match and build ------------------------------------------------------------------------------------------------

identifier = st.text(st.characters(exclude_categories=["Cs"]), min_size=1, max_size=40)


def is_plain(value: str) -> bool:
    """False for the two ids that a URL cannot carry: RFC 3986 5.2.4 takes them for directions."""
    return value not in (".", "..")


@each_route
@given(data=st.data())
@settings(max_examples=40, deadline=None)
def test_what_is_built_is_matched_again(route: Route, data: st.DataObject) -> None:
    names = [part[1:-1] for part in route.path if part.startswith("{")]
    params: dict[str, Any] = {name: data.draw(identifier.filter(is_plain), label=name) for name in names}
    endpoint = f"/{route.module}" if route.name == "versions.get" else f"/{VERSION}/{route.module}"
    url = route.url("/" + VERSION if route.name == "version_details.get" else endpoint, **params)
    assert url.isascii()
    assert url.count("/") == endpoint.count("/") + len(route.path) - (route.name == "version_details.get")
    for path in (url, url + "/"):
        found = matched(path)
        assert found.routes[route.method] is route
        assert dict(found.params) == params


@pytest.mark.parametrize("name", [route.name for route in OUTGOING])
def test_an_endpoint_of_a_partner_may_end_in_a_slash(name: str) -> None:
    route = outgoing(name)
    params: dict[str, Any] = {part[1:-1]: "a/b" for part in route.path if part.startswith("{")}
    url = route.url("https://cpo.test/x", **params)
    with_slash = url if route.path else f"{url}/"
    assert route.url("https://cpo.test/x/", **params) == with_slash, "the endpoint itself is called as announced"
    assert route.url("https://cpo.test/x/", trailing_slash=True, **params) == f"{url}/"
    assert url.removeprefix("https://cpo.test/x").count("a%2Fb") == len(params)
    assert not url.endswith("/")


# --- reading paths --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("path", "params"),
    [
        ("/2.1.1/locations/NL/TNM/L", {"country_code": "NL", "party_id": "TNM", "location_id": "L"}),
        ("/2.1.1/LOCATIONS/nl/tnm/L/", {"country_code": "nl", "party_id": "tnm", "location_id": "L"}),
        ("/2.1.1/cdrs/A%2FB%20%C3%BC", {"cdr_id": "A/B ü"}),
        ("/2.1.1/cdrs/A+B", {"cdr_id": "A+B"}),
        ("/2.1.1/cdrs/100%25", {"cdr_id": "100%"}),
        ("/2.1.1/cdrs/%252F", {"cdr_id": "%2F"}),
        ("/2.1.1/tokens/T/AUTHORIZE", {"token_uid": "T"}),
        ("/2.1.1/tokens/T/%61uthorize", None),
        ("/versions", {}),
        ("/versions/", {}),
        ("/VERSIONS", {}),
        ("/2.1.1", {}),
        ("/2.1.1/", {}),
    ],
)
def test_a_path_is_read(path: str, params: dict[str, str] | None) -> None:
    found = match(path)
    assert (None if found is None else dict(found.params)) == params


@pytest.mark.parametrize(
    "path",
    [
        "", "/", "/nothing", "/2.1", "/2.1.1/nothing", "/locations", "/versions/2.1.1", "/2.1.1/versions/x",
        "/2.1.1/locations/NL/TNM/1/2/3/4", "/2.1.1/tokens/T", "/2.1.1/tokens/T/other", "/2.1.1/tokens/T/authorize/x",
        "/2.1.1/credentials/x", "/2.1.1/commands/START_SESSION", "/2.2/locations",
    ],
)  # fmt: skip
def test_any_other_path_is_nothing(path: str) -> None:
    assert match(path) is None


@pytest.mark.parametrize("module", ["locations", "sessions", "tariffs", "commands"])
def test_a_module_whose_bare_path_has_no_method_is_known(module: str) -> None:
    assert matched(f"/2.1.1/{module}") == Match({}, {})


@pytest.mark.parametrize(
    ("path", "bases", "rest"),
    [
        ("/ocpi/emsp/versions", ("/ocpi/emsp",), "/versions"),
        ("/ocpi/emsp/2.1.1/cdrs/1", ("/ocpi/emsp",), "/2.1.1/cdrs/1"),
        ("/versions", ("/ocpi/emsp",), "/versions"),
        ("/2.1.1/cdrs", ("/ocpi/emsp",), "/2.1.1/cdrs"),
        ("/mount/versions", ("/ocpi/emsp", "/mount"), "/versions"),
        ("/mount/2.1.1", ("", "/mount"), "/2.1.1"),
        ("/ocpi/emsp/2.1.1/cdrs/%2Focpi", ("/ocpi/emsp", ""), "/2.1.1/cdrs/%2Focpi"),
        ("/versions", ("", ""), "/versions"),
        ("/other/versions", ("/ocpi/emsp", "/mount"), "/other/versions"),
        ("/ocpi/emsp", ("/ocpi/emsp",), "/ocpi/emsp"),
        ("/ocpi/emspx/versions", ("/ocpi/emsp",), "/ocpi/emspx/versions"),
    ],
)
def test_the_base_is_taken_off_a_path(path: str, bases: tuple[str, ...], rest: str) -> None:
    assert below(path, *bases) == rest


@pytest.mark.parametrize("base", ["/2.1.1", "/versions", "/ocpi/2.1.1", "/2.1.1/ocpi"])
def test_a_base_may_look_like_one_of_our_paths(base: str) -> None:
    assert below(f"{base}/versions", base) == "/versions"
    assert below(f"{base}/2.1.1/cdrs/1", base) == "/2.1.1/cdrs/1"
