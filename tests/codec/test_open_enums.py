"""Open enums: a value that the specification does not list keeps its text, and is told apart from one that it does."""

import copy
import json
import pickle

import pytest

from ocpi_emsp.models import CommandType, ModuleID, SessionStatus, Status, VersionNumber
from ocpi_emsp.scalars import OpenEnum

UNLISTED = Status.of("FAULTED")
MEMBERS: list[OpenEnum] = [Status.CHARGING, UNLISTED, VersionNumber.V2_1_1, VersionNumber.of("2.2"), Status.of("")]


def test_of_gives_the_listed_member() -> None:
    assert Status.of("CHARGING") is Status.CHARGING
    assert VersionNumber.of("2.1.1") is VersionNumber.V2_1_1
    assert Status.CHARGING.known


@pytest.mark.parametrize("text", ["FAULTED", "charging", "", "CHARGING ", "\ud83d", "x" * 5000, "name", "_value_"])
def test_of_keeps_any_other_text(text: str) -> None:
    member = Status.of(text)
    assert isinstance(member, Status)
    assert not member.known
    assert (member.value, member.name, str(member), f"{member}") == (text, text, text, text)
    assert member == text
    assert member == Status.of(text)
    assert hash(member) == hash(Status.of(text)) == hash(text)
    assert member not in list(Status)


def test_the_constructor_is_strict() -> None:
    assert Status("CHARGING") is Status.CHARGING
    with pytest.raises(ValueError, match="FAULTED"):
        Status("FAULTED")
    assert Status.of("FAULTED") == UNLISTED
    with pytest.raises(ValueError, match="FAULTED"):
        Status("FAULTED")  # of() lists nothing


def test_members_of_two_enums_equal_by_their_text() -> None:
    assert len({Status.of("X"), CommandType.of("X"), "X"}) == 1
    assert Status.of("X") != Status.of("x")
    by_member: dict[str, int] = {VersionNumber.V2_1_1: 1}
    assert by_member["2.1.1"] == 1
    assert {"2.1.1": 1}[VersionNumber.V2_1_1] == 1


@pytest.mark.parametrize("member", MEMBERS, ids=repr)
def test_copies_keep_class_value_and_knowledge(member: OpenEnum) -> None:
    pickled = [pickle.loads(pickle.dumps(member, protocol)) for protocol in range(pickle.HIGHEST_PROTOCOL + 1)]
    for again in (copy.copy(member), copy.deepcopy(member), copy.deepcopy([member])[0], *pickled):
        assert type(again) is type(member)
        assert (again, again.value, again.known) == (member, member.value, member.known)
        assert not member.known or again is member


def test_a_member_is_text() -> None:
    assert json.dumps([UNLISTED, ModuleID.CDRS]) == '["FAULTED", "cdrs"]'
    assert sorted([SessionStatus.of("B"), SessionStatus.of("A")]) == ["A", "B"]
    assert UNLISTED.lower() == "faulted"
    assert "FAULTED" in repr(UNLISTED)
