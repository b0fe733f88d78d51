"""The content codings of responses (RFC 9110 8.4), decoded piece by piece: a bomb ends at the limit, not in memory.

Rules of this module:
- only gzip is requested, and a single coding is decoded: gzip or deflate; others and combinations are rejected;
- no step produces more than STEP bytes, whatever the input;
- the name of a character encoding (utf-8), which some servers send here, is not a coding.
"""

from __future__ import annotations

import zlib
from collections.abc import Iterator
from typing import Final

ACCEPTED: Final = "gzip"
"""The requested coding. Pages of locations shrink to a tenth; a single coding, so that none can be nested."""
STEP: Final = 256 * 1024
"""Most bytes that one decoding step produces."""
_PLAIN: Final = frozenset({"", "identity", "none", "binary", "utf-8", "utf8", "iso-8859-1", "us-ascii"})


class CannotDecode(Exception):
    """The response has another coding than its header says, or one that was not requested."""


class _Plain:
    def decode(self, chunk: bytes) -> Iterator[bytes]:
        yield chunk

    def end(self) -> None:
        """Check the end; nothing can be missing."""


class _Zlib:
    """gzip or deflate. A deflate body has the header of zlib or, from some servers, none."""

    def __init__(self, coding: str) -> None:
        self._coding = coding
        self._has_begun = False
        self._head = b""
        """The start of a deflate body, until it shows which of the two it is."""
        self._decoder: zlib._Decompress | None = zlib.decompressobj(_GZIP) if coding != "deflate" else None

    def decode(self, chunk: bytes) -> Iterator[bytes]:
        self._has_begun = self._has_begun or bool(chunk)
        while chunk:
            decoder = self._decoder or self._decoder_of_deflate(chunk)
            if decoder is None:
                return
            chunk, self._head = self._head + chunk, b""
            if decoder.eof:
                if self._coding == "deflate" or not chunk.startswith(_MAGIC[: len(chunk)]):
                    return  # bytes after the end are ignored
                decoder = zlib.decompressobj(_GZIP)  # a body of several members (RFC 1952 2.2)
            self._decoder = decoder
            try:
                made = decoder.decompress(chunk, STEP)
            except zlib.error as error:
                raise CannotDecode(str(error)) from error
            chunk = decoder.unused_data if decoder.eof else decoder.unconsumed_tail
            if made:
                yield made

    def _decoder_of_deflate(self, chunk: bytes) -> zlib._Decompress | None:
        """Choose by the two bytes of zlib's header (RFC 1950 2.2); None if they are incomplete."""
        head = self._head + chunk
        if len(head) < 2:
            self._head = head
            return None
        has_header = head[0] & 0x0F == 8 and int.from_bytes(head[:2]) % 31 == 0
        return zlib.decompressobj(zlib.MAX_WBITS if has_header else -zlib.MAX_WBITS)

    def end(self) -> None:
        """Raise CannotDecode if the end of a body is missing."""
        if self._head or (self._decoder is not None and self._has_begun and not self._decoder.eof):
            raise CannotDecode("the compressed body ends too early")


_GZIP: Final = zlib.MAX_WBITS | 16
_MAGIC: Final = b"\x1f\x8b"


def decoder(header: str | None) -> _Plain | _Zlib:
    """Return the decoder of a body with this Content-Encoding. Raises CannotDecode."""
    codings = [name for each in (header or "").split(",") if (name := each.strip().lower()) not in _PLAIN]
    if not codings:
        return _Plain()
    if len(codings) > 1:
        raise CannotDecode(f"{len(codings)} content codings one on another: expected at most one")
    if codings[0] not in ("gzip", "x-gzip", "deflate"):
        raise CannotDecode(f"invalid content coding '{codings[0][:40]}': expected {ACCEPTED}")
    return _Zlib(codings[0])
