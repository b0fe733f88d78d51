"""Certificates that this machine trusts and that cannot be read: one sentence that names the variable and the file."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import anyio
import pytest

from ocpi_emsp import UrlPolicy
from ocpi_emsp.errors import InvalidEnvironment
from ocpi_emsp.transports.httpx import default_async_client, default_client
from ocpi_emsp.transports.pinned import aio_pinned_transport, pinned_transport

EXPECTED = "expected a file of certificates in PEM, for example /etc/ssl/certs/ca-certificates.crt"
CLIENTS: list[Callable[[], Any]] = [
    lambda: default_client(UrlPolicy(), 5.0),
    lambda: default_async_client(UrlPolicy(), 5.0),
    lambda: pinned_transport(UrlPolicy()),
    lambda: aio_pinned_transport(UrlPolicy()),
]
NAMES = ["client", "async client", "transport", "async transport"]

pytestmark = [pytest.mark.usefixtures("library"), pytest.mark.parametrize("make", CLIENTS, ids=NAMES)]


@pytest.fixture(autouse=True)
def _no_settings(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("SSL_CERT_FILE", raising=False)
    monkeypatch.delenv("SSL_CERT_DIR", raising=False)


@pytest.mark.parametrize(
    ("made", "why"),
    [
        (None, "No such file or directory"),
        ("folder", "Is a directory"),
        (b"", "no certificate can be read from it"),
        (b"-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n", "no certificate can be read from it"),
    ],
    ids=["missing", "folder", "empty", "broken"],
)
def test_a_file_that_cannot_be_read_is_named(
    make: Callable[[], Any], made: bytes | str | None, why: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = tmp_path / "ca.pem"
    if isinstance(made, bytes):
        file.write_bytes(made)
    elif made:
        file.mkdir()
    monkeypatch.setenv("SSL_CERT_FILE", str(file))
    monkeypatch.setenv("SSL_CERT_DIR", str(tmp_path / "ignored beside a file"))
    with pytest.raises(InvalidEnvironment) as raised:
        make()
    assert raised.value.message == f"invalid SSL_CERT_FILE '{file}': {why}: {EXPECTED}"


def test_a_directory_that_is_not_there_is_named(
    make: Callable[[], Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folders = f"{tmp_path / 'a'}:{tmp_path / 'b'}"
    monkeypatch.setenv("SSL_CERT_DIR", folders)
    with pytest.raises(InvalidEnvironment) as raised:
        make()
    assert raised.value.message == f"invalid SSL_CERT_DIR '{folders}': expected a directory of certificates"
    (tmp_path / "b").mkdir()
    close(make())


def test_without_a_setting_the_certificates_of_the_machine_are_trusted(make: Callable[[], Any]) -> None:
    close(make())


def test_a_machine_without_certificates_is_reported(
    make: Callable[[], Any], library: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As where the file of the package certifi was left out of an image."""

    def fail(**_: Any) -> None:
        raise FileNotFoundError(2, "No such file or directory")

    monkeypatch.setattr(library, "create_ssl_context", fail)
    with pytest.raises(InvalidEnvironment) as raised:
        make()
    assert raised.value.message == (
        "the certificates that this machine trusts cannot be read: No such file or directory; set SSL_CERT_FILE"
    )


def close(made: Any) -> None:
    if hasattr(made, "aclose"):
        anyio.run(made.aclose)
    else:
        made.close()
