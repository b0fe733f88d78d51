"""The content codings of answers (RFC 9110 8.4), decoded piece by piece: a bomb ends at the limit, not in memory.

Rules of this module:
- one coding is asked for, gzip, and a single one is decoded: gzip or deflate; others and several ones are refused;
- no step makes more than STEP bytes, whatever the input says;
- a name that says how text is written (utf-8), which some servers send here, is no coding.
"""

from __future__ import annotations

import zlib
from collections.abc import Iterator
from typing import Final

ACCEPTED: Final = "gzip"
"""What is asked for. Pages of locations are a tenth as long so; one coding alone, for nothing may be piled up."""
STEP: Final = 256 * 1024
"""The most bytes that one step of decoding makes."""
_PLAIN: Final = frozenset({"", "identity", "none", "binary", "utf-8", "utf8", "iso-8859-1", "us-ascii"})


class CannotDecode(Exception):
    """The answer has another coding than its header says, or one that was not asked for."""


class _Plain:
    def decode(self, chunk: bytes) -> Iterator[bytes]:
        yield chunk

    def end(self) -> None:
        """Nothing can be missing."""


class _Zlib:
    """gzip or deflate. A deflate body may have the header of zlib or, as some servers have it, none."""

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
                    return  # what follows the end means nothing
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
        """By the two bytes of zlib's header (RFC 1950 2.2); None if they are not all there."""
        head = self._head + chunk
        if len(head) < 2:
            self._head = head
            return None
        has_header = head[0] & 0x0F == 8 and int.from_bytes(head[:2]) % 31 == 0
        return zlib.decompressobj(zlib.MAX_WBITS if has_header else -zlib.MAX_WBITS)

    def end(self) -> None:
        """Raises CannotDecode if the end of a body is missing."""
        if self._head or (self._decoder is not None and self._has_begun and not self._decoder.eof):
            raise CannotDecode("the compressed body ends too early")


_GZIP: Final = zlib.MAX_WBITS | 16
_MAGIC: Final = b"\x1f\x8b"


def decoder(header: str | None) -> _Plain | _Zlib:
    """Return what decodes a body with this Content-Encoding. Raises CannotDecode."""
    codings = [name for each in (header or "").split(",") if (name := each.strip().lower()) not in _PLAIN]
    if not codings:
        return _Plain()
    if len(codings) > 1:
        raise CannotDecode(f"{len(codings)} content codings one on another: expected at most one")
    if codings[0] not in ("gzip", "x-gzip", "deflate"):
        raise CannotDecode(f"invalid content coding '{codings[0][:40]}': expected {ACCEPTED}")
    return _Zlib(codings[0])
