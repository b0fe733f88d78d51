"""Exit with 0 if the eMSP at port 8000 answers and its database does too, else with 1.

A token that no partner has is looked up in the database: HTTP 401 says that both work, 500 that the database does not.
"""

from __future__ import annotations

import http.client
import os
import sys
from urllib.parse import urlsplit


def is_ready(port: int, path: str) -> bool:
    """Return True if the eMSP below this path is ready. Raises OSError if nothing listens."""
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=4)
    try:
        connection.request("GET", f"{path}/versions", headers={"Authorization": "Token readiness"})
        return connection.getresponse().status == http.client.UNAUTHORIZED
    finally:
        connection.close()


if __name__ == "__main__":
    try:
        ready = is_ready(int(os.environ.get("PORT", "8000")), urlsplit(os.environ["OCPI_EMSP_URL"]).path)
    except OSError:
        ready = False
    sys.exit(0 if ready else 1)
