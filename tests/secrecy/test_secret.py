"""A Secret shows itself nowhere, and is carried away by nothing but ``reveal()``."""

import copy
import json
import logging
import pickle
from typing import Any

import cattrs
import msgspec
import pytest
from attrs import asdict, evolve
from hypothesis import given, strategies as st

from flows.support import offline_emsp
from ocpi_emsp import Secret

TEXT = "a-marked-token-1234567890"


@pytest.fixture
def secret() -> Secret:
    return Secret(TEXT)


@pytest.mark.parametrize(
    "show",
    [
        str,
        repr,
        lambda it: f"{it} {it!s} {it!r} {it:>30}",
        lambda it: "%s %r %5s" % (it, it, it),  # noqa: UP031 # that is what is tried
        lambda it: f"{it} {it!r}",
        lambda it: str([it, {it: it}]),
        lambda it: repr(dir(it)),
        lambda it: json.dumps({"x": it}, default=str),
    ],
)
def test_it_is_never_shown(show: Any, secret: Secret) -> None:
    """Without the redacted repr: 8 of these show the token."""
    assert TEXT not in show(secret)


@pytest.mark.parametrize(
    "carry",
    [
        pickle.dumps,
        lambda it: it.__getstate__(),
        json.dumps,
        msgspec.json.encode,
        msgspec.msgpack.encode,
        vars,
        lambda it: "Token " + it,
        lambda it: "".join([it]),
        lambda it: it.encode(),
        lambda it: json.dumps(cattrs.unstructure({"x": it})),
        iter,
    ],
)
def test_it_is_carried_away_by_nothing(carry: Any, secret: Secret) -> None:
    """Without the refusal to be pickled: a queue, a cache or a crash reporter gets the text."""
    with pytest.raises((TypeError, AttributeError)) as refused:
        carry(secret)
    assert TEXT not in str(refused.value)


def test_it_is_revealed_by_name(secret: Secret) -> None:
    assert secret.reveal() == TEXT
    assert len(secret) == len(TEXT)
    assert copy.copy(secret) is copy.deepcopy(secret) is secret


@given(st.text(), st.text())
def test_it_equals_its_text_and_nothing_else(one: str, other: str) -> None:
    assert (Secret(one) == Secret(other)) is (Secret(one) == other) is (one == other)
    assert Secret(one) != one.encode()
    assert hash(Secret(one)) == hash(one)


def test_an_invitation_shows_no_token(caplog: pytest.LogCaptureFixture) -> None:
    """As a plain text: repr(invitation), a log line and asdict show it."""
    invitation = offline_emsp().parties.invite("NL-TNM")
    token = invitation.token_a.reveal()
    logging.getLogger("backend").warning("invited %s %r", invitation, evolve(invitation))
    assert [each for each in (repr(invitation), str(asdict(invitation)), caplog.text) if token in each] == []
    with pytest.raises(TypeError):
        pickle.dumps(invitation)
