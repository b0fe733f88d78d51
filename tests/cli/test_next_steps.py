"""What the command says to do next, where a failure names its reason."""

import pytest

from ocpi_emsp.cli.next_steps import next_step
from ocpi_emsp.errors import CannotUseApi, NotRegistered, OcpiError, PartnerRefused, StoreFailed, TransportFailed

URL = "https://cpo.example.com/versions"


def refused(http: int, code: int) -> PartnerRefused:
    return PartnerRefused("no", method="GET", url=URL, answered_http=http, answered_code=code)


def failed(reason: str) -> TransportFailed:
    return TransportFailed(f"cannot connect: {reason}", method="GET", url=URL)


@pytest.mark.parametrize(
    ("reason", "step"),
    [
        (refused(401, 2000), "ask for a new one"),
        (refused(200, 3001), "check that --url is where it answers"),
        (failed("[SSL: WRONG_VERSION_NUMBER] wrong version number (_ssl.c:1006)"), "is it an http:// URL?"),
        (NotRegistered("there is no registration with NL-TNM"), "ocpi-emsp parties list"),
        (StoreFailed("sqlite:///x.db: attempt to write a readonly database"), "writable for the user of this process"),
        (StoreFailed("sqlite:////x/y.db: unable to open database file"), "in a folder that exists and is writable"),
        (StoreFailed("sqlite:///x.db: disk I/O error"), None),
        (refused(500, 3000), None),
        (failed("[Errno 111] Connection refused"), None),
    ],
)
def test_a_failure_has_a_next_step_where_its_reason_is_known(reason: OcpiError, step: str | None) -> None:
    behind = CannotUseApi("the API cannot be used")
    behind.__cause__ = reason
    for failure in (reason, behind):
        said = next_step(failure)
        assert said is None if step is None else step in (said or "")
