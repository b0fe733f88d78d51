"""A PostgreSQL that is further away: what is sent to it, and what it sends, arrives later.

    python bench/load.py --store postgresql --latency 0.5

Rules of this module:
- the proxy is a process of its own, between a socket in a folder and the server's; it ends with whoever started it;
- each direction waits half of the latency with every piece it read, so that a round trip takes one whole;
- pieces that are sent at once arrive at once: what is piped pays one round trip.
"""

from __future__ import annotations

import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from sqlalchemy import make_url

PIECE = 256 * 1024
SOCKET = ".s.PGSQL.5432"
"""The name that libpq looks for in the folder that is given as a host."""


@contextmanager
def further(url: str, folder: Path, milliseconds: float) -> Iterator[str]:
    """The URL of the same database, this much further away; ``url`` itself if that is nothing."""
    if not milliseconds:
        yield url
        return
    address = make_url(url)
    nearer = Path(str(address.query["host"])) / SOCKET
    line = [sys.executable, __file__, str(nearer), str(folder / SOCKET), str(milliseconds)]
    with subprocess.Popen(line, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as process:
        assert process.stdout is not None
        process.stdout.readline()  # it listens
        try:
            yield address.update_query_dict({"host": str(folder)}).render_as_string(hide_password=False)
        finally:
            process.terminate()


def _pass(source: socket.socket, target: socket.socket, seconds: float) -> None:
    try:
        while piece := source.recv(PIECE):
            time.sleep(seconds)
            target.sendall(piece)
        target.shutdown(socket.SHUT_WR)
    except OSError as error:
        print(f"the proxy lost a connection: {error}", file=sys.stderr)


def _accept(listening: socket.socket, server: str, seconds: float) -> None:
    while True:
        near, _ = listening.accept()
        far = socket.socket(socket.AF_UNIX)
        far.connect(server)
        for ends in ((near, far), (far, near)):
            threading.Thread(target=_pass, args=(*ends, seconds), daemon=True).start()


def main(server: str, path: str, milliseconds: str) -> None:
    """Be the proxy, until standard input ends."""
    listening = socket.socket(socket.AF_UNIX)
    listening.bind(path)
    Path(path).chmod(0o777)
    listening.listen(64)
    threading.Thread(target=_accept, args=(listening, server, float(milliseconds) / 2000), daemon=True).start()
    print("listens", flush=True)
    sys.stdin.read()


if __name__ == "__main__":
    main(*sys.argv[1:])
