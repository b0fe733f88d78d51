"""The support matrix as data: the published one, what it switches, and its three spellings."""

import json
from importlib import resources
from pathlib import Path

import pytest
from attrs import evolve

from ocpi_emsp import SupportMatrix
from ocpi_emsp.support import FROM_CPO, TO_CPO, SupportRow

PUBLISHED = resources.files("ocpi_emsp").joinpath("support-matrix.csv").read_text("utf-8")
DEFAULT = SupportMatrix.default()


def test_the_default_is_the_published_matrix_byte_for_byte() -> None:
    assert DEFAULT.to_csv() == PUBLISHED
    assert SupportMatrix.from_csv(PUBLISHED) == DEFAULT
    assert len(DEFAULT.rows) == PUBLISHED.count("\n") - 1 == 32


def test_the_default_has_yes_and_no_rows() -> None:
    assert DEFAULT.supports("locations", FROM_CPO, "PUT", "/locations/:path")
    assert not DEFAULT.supports("locations", FROM_CPO, "GET", "/locations")
    assert DEFAULT.supports("locations", TO_CPO, "GET", "/locations")
    assert DEFAULT.supports("credentials", FROM_CPO, "PATCH", "/credentials")
    assert not DEFAULT.supports("credentials", FROM_CPO, "DELETE", "/credentials")
    assert not DEFAULT.supports("commands", TO_CPO, "POST", "/commands/UNLOCK_CONNECTOR")


@pytest.mark.parametrize(
    ("module", "direction", "method", "path"),
    [
        ("locations", FROM_CPO, "DELETE", "/locations/:path"),
        ("locations", FROM_CPO, "PUT", "/locations"),
        ("tariffs", FROM_CPO, "PUT", "/locations/:path"),
        ("locations", "MSP -> MSP", "PUT", "/locations/:path"),
        ("credentials", FROM_CPO, "PUT|PATCH", "/credentials"),
        ("locations", FROM_CPO, "put", "/locations/:path"),
    ],
)
def test_a_call_without_a_row_is_not_supported(module: str, direction: str, method: str, path: str) -> None:
    for matrix in (DEFAULT, SupportMatrix.full()):
        assert not matrix.supports(module, direction, method, path)


def test_full_switches_every_row_on_and_changes_nothing_else() -> None:
    full = SupportMatrix.full()
    assert all(row.supported for row in full.rows)
    assert [evolve(row, supported=True) for row in DEFAULT.rows] == list(full.rows)
    assert SupportMatrix.default() == DEFAULT


def test_csv_of_any_matrix_goes_round() -> None:
    rows = (
        SupportRow("tokens", FROM_CPO, "GET", "/tokens", True, 'a, "quoted"\nnote in two lines: ü'),
        SupportRow("credentials", TO_CPO, "PUT|PATCH", "/credentials", False),
    )
    assert SupportMatrix.from_csv(SupportMatrix(rows).to_csv()) == SupportMatrix(rows)
    assert SupportMatrix.from_csv(SupportMatrix(()).to_csv()) == SupportMatrix(())
    assert SupportMatrix.from_csv(PUBLISHED.replace("\n", "\r\n")) == DEFAULT


def test_json_is_the_same_rows_with_booleans() -> None:
    rows = json.loads(DEFAULT.to_json())
    assert tuple(SupportRow(**row) for row in rows) == DEFAULT.rows
    assert {type(row["supported"]) for row in rows} == {bool}


def test_markdown_is_one_line_a_row() -> None:
    head, rule, *rows = DEFAULT.to_markdown().splitlines()
    assert head == "| module | direction | methods | path | supported | notes |"
    assert rule == "|---|---|---|---|---|---|"
    assert rows[1].startswith(r"| credentials | CPO -> MSP | PUT\|PATCH | /credentials | yes |")
    assert (
        rows[12] == "| sessions | CPO -> MSP | PUT | /sessions/:path | yes | CDR and Session can have different ids |"
    )
    assert len(rows) == len(DEFAULT.rows)
    assert {line.replace(r"\|", "").count("|") for line in (head, rule, *rows)} == {7}
    assert not [line for line in rows if line != line.rstrip()]


# --- switch ---------------------------------------------------------------------------------------------------------


def test_switch_switches_one_row_and_leaves_the_matrix_alone() -> None:
    on = DEFAULT.switch(True, module="tariffs", direction=FROM_CPO, method="DELETE", path="/tariffs/:path")
    assert on.supports("tariffs", FROM_CPO, "DELETE", "/tariffs/:path")
    assert not DEFAULT.supports("tariffs", FROM_CPO, "DELETE", "/tariffs/:path")
    assert sum(one != other for one, other in zip(on.rows, DEFAULT.rows, strict=True)) == 1
    assert on.switch(False, module="tariffs", direction=FROM_CPO, method="DELETE", path="/tariffs/:path") == DEFAULT


def test_a_row_of_two_methods_is_switched_as_a_whole() -> None:
    off = DEFAULT.switch(False, module="credentials", direction=FROM_CPO, method="PATCH", path="/credentials")
    assert not off.supports("credentials", FROM_CPO, "PUT", "/credentials")
    assert not off.supports("credentials", FROM_CPO, "PATCH", "/credentials")
    assert off.supports("credentials", FROM_CPO, "POST", "/credentials")


def test_what_has_no_row_cannot_be_switched() -> None:
    with pytest.raises(ValueError, match="unknown support matrix row CPO -> MSP GET /versions"):
        DEFAULT.switch(False, module="versions", direction=FROM_CPO, method="GET", path="/versions")


# --- a matrix that cannot be read -----------------------------------------------------------------------------------

HEADER = "module,direction,methods,path,supported,notes\n"
GOOD = "tokens,CPO -> MSP,GET,/tokens,yes,\n"


@pytest.mark.parametrize("text", ["", "module,direction\n", HEADER.replace("supported", "on"), GOOD, "\n" + GOOD])
def test_the_columns_are_named_where_they_are_others(text: str) -> None:
    with pytest.raises(ValueError, match="expected the columns module, direction, methods, path, supported, notes"):
        SupportMatrix.from_csv(text)


@pytest.mark.parametrize(
    ("text", "line"),
    [
        (GOOD.replace("yes", "true"), 2),
        (GOOD + GOOD.replace("yes", "YES"), 3),
        (GOOD + GOOD.replace("CPO -> MSP", "CPO to MSP"), 3),
        (GOOD + "\n\n" + GOOD.replace("yes", ""), 5),
        (GOOD + 'tokens,CPO -> MSP,GET,/tokens,yes,"two\nlines"\n' + "tokens\n", 5),
        (GOOD.replace("yes", "no, it is not"), 2),
        (GOOD.replace("GET", ""), 2),
        (GOOD.replace("GET", "GET|FETCH"), 2),
        (GOOD + "tokens,CPO -> MSP,GET,/tokens,yes,,one more\n", 3),
    ],
)
def test_an_error_names_its_line(text: str, line: int) -> None:
    with pytest.raises(ValueError, match=f"invalid support matrix in line {line}: "):
        SupportMatrix.from_csv(HEADER + text)


def test_our_copy_is_in_the_package() -> None:
    assert Path(str(resources.files("ocpi_emsp").joinpath("support-matrix.csv"))).is_file()
