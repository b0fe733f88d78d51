"""The messages on the wire, without any I/O: requests and responses, the envelope, the Token header, paging, dates."""

from __future__ import annotations

from ocpi_emsp.wire.dates import http_date
from ocpi_emsp.wire.envelope import failure, read_envelope, success
from ocpi_emsp.wire.excerpt import excerpt, words_of
from ocpi_emsp.wire.messages import Request, Response
from ocpi_emsp.wire.paging import PageRequest, link_next, next_link, read_count, read_page_request
from ocpi_emsp.wire.token import authorization, from_base64, presented_token, to_base64

__all__ = [
    "PageRequest",
    "Request",
    "Response",
    "authorization",
    "excerpt",
    "failure",
    "from_base64",
    "http_date",
    "link_next",
    "next_link",
    "presented_token",
    "read_count",
    "read_envelope",
    "read_page_request",
    "success",
    "to_base64",
    "words_of",
]
