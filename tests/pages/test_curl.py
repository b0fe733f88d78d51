"""The curl of the pages sends what curl sends, and names what it does not know."""

from __future__ import annotations

import json
import threading
from argparse import ArgumentError
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from typing import Any

import pytest

from pages import curl


class Echo(BaseHTTPRequestHandler):
    """It answers with what it received, as a refusal where the path says so."""

    def do_GET(self) -> None:
        self._answer()

    def do_POST(self) -> None:
        self._answer()

    def _answer(self) -> None:
        body = self.rfile.read(int(self.headers.get("Content-Length", 0))).decode()
        kind, own = self.headers.get("Content-Type"), self.headers.get("X-Own")
        said = json.dumps({"method": self.command, "body": body, "type": kind, "own": own}).encode()
        self.send_response(404 if self.path == "/missing" else 200)
        self.send_header("Content-Length", str(len(said)))
        self.end_headers()
        self.wfile.write(said)

    def log_message(self, *_: object) -> None:
        """Print nothing."""


@pytest.fixture(scope="module")
def url() -> Iterator[str]:
    with HTTPServer(("127.0.0.1", 0), Echo) as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.01,))
        thread.start()
        yield f"http://127.0.0.1:{server.server_port}"
        server.shutdown()
        thread.join()


FORM, JSON = "application/x-www-form-urlencoded", "application/json"


@pytest.mark.parametrize(
    ("arguments", "received"),
    [
        (["-s"], {"method": "GET", "body": "", "type": None}),
        (["-X", "POST"], {"method": "POST", "body": ""}),
        (["-d", "a=1"], {"method": "POST", "body": "a=1", "type": FORM}),
        (["--json", "{}"], {"method": "POST", "body": "{}", "type": JSON}),
        (["--json", "@body.json"], {"body": '{"a": 1}', "type": JSON}),
        (["-H", "X-Own: yes"], {"own": "yes"}),
    ],
)
def test_a_request_is_that_of_curl(url: str, arguments: list[str], received: dict[str, Any], tmp_path: Path) -> None:
    (tmp_path / "body.json").write_text('{"a": 1}', "utf-8")
    for path in ("/", "/missing"):
        got = json.loads(curl.answer([*arguments, url + path], tmp_path))
        assert received.items() <= got.items()


def test_an_unknown_option_fails(tmp_path: Path) -> None:
    with pytest.raises((ArgumentError, SystemExit)):
        curl.answer(["--insecure", "https://example.com"], tmp_path)
