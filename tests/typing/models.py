"""What a user's type checker sees of the models and the codec; mypy and pyright read this file, nothing runs it."""

from datetime import datetime
from decimal import Decimal
from typing import assert_type

from ocpi_emsp import Cdr, Token, decode, encode
from ocpi_emsp.codec import encode_valid
from ocpi_emsp.models import DisplayText


def read(data: bytes) -> None:
    cdr = decode(Cdr, data)
    assert_type(cdr, Cdr)
    assert_type(cdr.total_cost, Decimal)
    assert_type(cdr.stop_date_time, datetime)
    assert_type(decode(Token, data).language, str | None)


def write(text: DisplayText) -> None:
    assert_type(encode([text]), bytes)
    assert_type(encode_valid(text), bytes)
    DisplayText(language="en", text=5)  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
    text.language = "de"  # type: ignore[misc]  # pyright: ignore[reportAttributeAccessIssue]
