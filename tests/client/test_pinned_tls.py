"""TLS to an address that was checked goes by the name: what the server hears, and what its certificate has to say."""

import datetime as dt
import ssl
import threading
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from socket import create_server
from typing import Any

import pytest
from attrs import define, field
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec

from client.places import CPO, NAME, POLICY, Names
from client.support import MODES, Mode
from client.test_pinned import statuses
from ocpi_emsp.errors import TransportFailed

pytestmark = pytest.mark.parametrize("mode", MODES)

OTHER = "other.example.com"


@define
class Server:
    """A TLS server at CPO, for NAME alone: its port, who trusts it, and which names it was called by."""

    port: int
    trusting: ssl.SSLContext
    heard: list[str | None] = field(factory=list)


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, NAME)])
    now, day = dt.datetime.now(dt.UTC), dt.timedelta(days=1)
    certificate = (
        x509.CertificateBuilder(name, name, key.public_key(), x509.random_serial_number(), now - day, now + day)
        .add_extension(x509.SubjectAlternativeName([x509.DNSName(NAME)]), critical=False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .sign(key, hashes.SHA256())
        .public_bytes(serialization.Encoding.PEM)
    )
    formats = serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    path: Path = tmp_path_factory.mktemp("tls") / "server.pem"
    path.write_bytes(key.private_bytes(serialization.Encoding.PEM, *formats) + certificate)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(path)
    is_over = threading.Event()
    with create_server((CPO, 0)) as listening:
        made = Server(listening.getsockname()[1], ssl.create_default_context(cadata=certificate.decode()))

        def hear(_: Any, called: str | None, __: Any) -> None:
            made.heard.append(called)

        context.sni_callback = hear
        listening.settimeout(0.05)

        def serve() -> None:
            while not is_over.is_set():
                with suppress(OSError):
                    plain, _ = listening.accept()
                    plain.settimeout(20)
                    with plain, context.wrap_socket(plain, server_side=True) as secured:
                        secured.recv(65536)
                        secured.sendall(b"HTTP/1.1 204 No Content\r\nconnection: close\r\n\r\n")

        thread = threading.Thread(target=serve)
        thread.start()
        yield made
        is_over.set()
        thread.join(20)


def test_the_server_hears_the_name_and_shows_a_certificate_for_it(mode: Mode, library: Any, server: Server) -> None:
    """With the address in the place of the name: no name is heard, and the certificate is for no such host."""
    server.heard.clear()
    url = f"https://{NAME}:{server.port}/x"
    assert statuses(mode, library, Names([[CPO]]), url, verify=server.trusting) == [204]
    assert server.heard == [NAME]


def test_a_certificate_for_another_name_is_refused(mode: Mode, library: Any, server: Server) -> None:
    """A name that leads to another company's server does not become that company."""
    server.heard.clear()
    url = f"https://{OTHER}:{server.port}/x"
    with pytest.raises(TransportFailed, match="CERTIFICATE_VERIFY_FAILED") as caught:
        statuses(mode, library, Names([[CPO]]), url, policy=POLICY, verify=server.trusting)
    assert not caught.value.retryable
    assert server.heard == [OTHER]
