"""One function decides: a second one is refused, and the message says where the first is."""

from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from flows.authorize_desk import ask, desk
from ocpi_emsp import AuthorizationInfo, AuthorizationRequest


def may_charge(request: AuthorizationRequest) -> AuthorizationInfo:
    return request.allow()


async def may_not_charge(request: AuthorizationRequest) -> AuthorizationInfo:
    return request.refuse()


class Backend:
    """A hook among the methods of something."""

    def decide(self, request: AuthorizationRequest) -> AuthorizationInfo:
        return request.refuse()


def defined(allows: bool) -> Callable[[AuthorizationRequest], AuthorizationInfo]:
    def decide(request: AuthorizationRequest) -> AuthorizationInfo:
        return request.allow() if allows else request.refuse()

    return decide


def test_a_second_hook_is_refused_with_the_places_of_both() -> None:
    cpo = desk()
    cpo.emsp.authorize(may_charge)
    with pytest.raises(ValueError, match="second authorize hook") as raised:
        cpo.emsp.authorize(may_not_charge)
    here = Path(__file__)
    first, second = (
        f"'{each.__name__}' ({here}:{each.__code__.co_firstlineno})" for each in (may_charge, may_not_charge)
    )
    assert str(raised.value) == (
        f"second authorize hook {second}: {first} is registered already, and one function decides. "
        "Remove one of them, or replace the first with emsp.authorize(hook, replace=True)"
    )
    assert ask(cpo).data["allowed"] == "ALLOWED"


@pytest.mark.parametrize(
    "second",
    [lambda request: request.refuse(), Backend().decide, partial(Backend().decide), defined(False)],
    ids=["lambda", "method", "partial", "nested"],
)
def test_whatever_the_second_hook_is(second: Any) -> None:
    cpo = desk()
    cpo.emsp.authorize(lambda request: request.allow())
    with pytest.raises(ValueError, match=r"<lambda>' \(.*:[0-9]+\) is registered already"):
        cpo.emsp.authorize(second)
    assert ask(cpo).data["allowed"] == "ALLOWED"


def test_the_methods_of_two_objects_are_two_hooks() -> None:
    cpo = desk()
    cpo.emsp.authorize(Backend().decide)
    with pytest.raises(ValueError, match=r"'Backend\.decide' .* is registered already"):
        cpo.emsp.authorize(Backend().decide)


def test_replace_puts_the_second_hook_in_the_place_of_the_first() -> None:
    cpo = desk()
    cpo.emsp.authorize(may_charge)
    assert ask(cpo).data["allowed"] == "ALLOWED"
    assert cpo.emsp.authorize(may_not_charge, replace=True) is may_not_charge
    assert ask(cpo).data["allowed"] == "NOT_ALLOWED"
    yes: Any = "yes"
    with pytest.raises(TypeError, match="invalid replace 'yes'"):
        cpo.emsp.authorize(may_charge, replace=yes)


def test_a_definition_that_is_executed_again_replaces_itself() -> None:
    """As a cell of a notebook is, a module that is reloaded, or a function that makes an app."""
    cpo = desk()
    cpo.emsp.authorize(defined(True))
    assert ask(cpo).data["allowed"] == "ALLOWED"
    cpo.emsp.authorize(defined(False))
    assert ask(cpo).data["allowed"] == "NOT_ALLOWED"
    method = Backend().decide
    for _ in range(2):
        cpo.emsp.authorize(method, replace=True)
    cpo.emsp.authorize(method)


def test_a_hook_that_cannot_be_asked_leaves_the_first_one_there() -> None:
    cpo = desk()
    cpo.emsp.authorize(may_charge)
    with pytest.raises(TypeError, match="expected a function"):
        cpo.emsp.authorize(7, replace=True)  # type: ignore[type-var] # the subject of the test
    assert ask(cpo).data["allowed"] == "ALLOWED"
