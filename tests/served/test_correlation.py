"""X-Correlation-ID and X-Request-ID over HTTP, on both servers: on every answer, and on the calls that follow."""

from __future__ import annotations

import pytest

from ocpi_emsp import Event, Limits
from ocpi_emsp.testing.cpo import samples
from served.partner import Connect, Partner
from served.support import Ocpi

IDS = {"x-correlation-id": "c-1", "x-request-id": "r-1"}


@pytest.mark.parametrize(
    ("method", "path", "content", "token", "status"),
    [
        ("GET", "/versions", b"", True, 200),
        ("GET", "/versions", b"", False, 401),
        ("GET", "/2.1.1/nowhere", b"", True, 404),
        ("POST", "/versions", b"{}", True, 405),
        ("PUT", "/2.1.1/tariffs/NL/TNM/TAR1", b"{", True, 400),
        ("PUT", "/2.1.1/tariffs/NL/TNM/TAR1", b"x" * 2000, True, 413),
    ],
)
def test_ids_are_echoed_whatever_is_answered(
    connect: Connect, method: str, path: str, content: bytes, token: bool, status: int
) -> None:
    partner = connect(limits=Limits(body=1000))
    asks = partner.ocpi if token else Ocpi(partner.ocpi.http, partner.ocpi.base, partner.ocpi.logs)
    answer = asks(method, path, content=content or None, headers=IDS)
    assert answer.status == status
    assert (answer.headers["x-correlation-id"], answer.headers["x-request-id"]) == ("c-1", "r-1")
    made = asks(method, path, content=content or None)
    assert len({made.headers["x-correlation-id"], made.headers["x-request-id"], "c-1", "r-1"}) == 4


def test_a_failure_of_ours_has_the_ids_too(partner: Partner) -> None:
    @partner.emsp.on(Event)
    def fail(_event: object) -> None:
        raise RuntimeError("a bug of a listener")

    answer = partner.ocpi("PUT", partner.path("tariffs", "TAR1"), samples.tariff("TAR1"), headers=IDS)
    assert answer.both == (500, 3000)
    assert (answer.headers["x-correlation-id"], answer.headers["x-request-id"]) == ("c-1", "r-1")
    assert "c-1" in answer.message


@pytest.mark.parametrize("given", ["x" * 129, "\xe9", "a\tb"])
def test_an_id_that_is_none_is_replaced(partner: Partner, given: str) -> None:
    answer = partner.ocpi("GET", "/versions", headers={"x-correlation-id": given, "x-request-id": given})
    for name in ("x-correlation-id", "x-request-id"):
        assert len(answer.headers[name]) == 24
        assert answer.headers[name].isalnum()
