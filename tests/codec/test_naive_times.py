"""A time without a zone is refused where Python code makes a model: it would be read an hour off, or several."""

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta, timezone, tzinfo
from typing import Any

import attrs
import pytest

from ocpi_emsp import Token, decode, models
from ocpi_emsp.codec import encode, wire_time
from ocpi_emsp.models import TokenType, WhitelistType
from ocpi_emsp.wire.paging import PageRequest

NAIVE = datetime(2024, 5, 1, 12, 0)


class Nowhere(tzinfo):
    """A zone that says nothing, which Python calls naive too."""

    def utcoffset(self, _: datetime | None) -> None:
        return None

    def dst(self, _: datetime | None) -> None:
        return None

    def tzname(self, _: datetime | None) -> None:
        return None


def is_time(field: Any) -> bool:
    return "datetime" in str(field.type).lower()


def times() -> Iterator[tuple[Any, Any]]:
    """Every DateTime of every model."""
    for kind in (*models.OBJECTS_AND_ENUMS.values(), PageRequest):
        if attrs.has(kind):
            yield from ((kind, each) for each in attrs.fields(kind) if is_time(each))


def made(kind: Any, name: str, moment: Any) -> Any:
    """A model with nothing but required members, of no sense but for one time."""
    required = [each for each in attrs.fields(kind) if each.default is attrs.NOTHING]
    others = {each.name: NAIVE.replace(tzinfo=UTC) if is_time(each) else None for each in required}
    return kind(**{**others, name: moment})


TIMES = list(times())


@pytest.mark.parametrize(
    "naive", [NAIVE, NAIVE.replace(tzinfo=Nowhere()), "2024-05-01T12:00:00Z"], ids=["naive", "nowhere", "text"]
)
@pytest.mark.parametrize(("kind", "field"), TIMES, ids=lambda value: getattr(value, "__name__", None) or value.name)
def test_every_time_of_every_model_needs_a_zone(kind: Any, field: Any, naive: Any) -> None:
    with pytest.raises(ValueError, match=rf"^invalid {field.name} '2024-05-01.*': expected a time with a zone, for"):
        made(kind, field.name, naive)
    whole = made(kind, field.name, NAIVE.replace(tzinfo=UTC))
    with pytest.raises(ValueError, match=rf"^invalid {field.name} "):
        attrs.evolve(whole, **{field.name: naive})
    if field.default is None:
        assert getattr(made(kind, field.name, None), field.name) is None
    else:
        with pytest.raises(ValueError, match=rf"^invalid {field.name} "):
            made(kind, field.name, None)


def test_no_time_is_left_out() -> None:
    assert {(kind.__name__, field.name) for kind, field in TIMES} >= {
        ("Token", "last_updated"),
        ("ReserveNow", "expiry_date"),
        ("Session", "end_datetime"),
        ("ExceptionalPeriod", "period_begin"),
        ("PageRequest", "date_to"),
    }
    assert len(TIMES) == 20


def test_any_zone_is_the_same_moment() -> None:
    token = Token(
        uid="1", type=TokenType.RFID, auth_id="A", issuer="I", valid=True, whitelist=WhitelistType.NEVER,
        last_updated=datetime(2024, 5, 1, 12, tzinfo=timezone(timedelta(hours=2))),
    )  # fmt: skip
    assert decode(Token, encode(token)) == attrs.evolve(token, last_updated=datetime(2024, 5, 1, 10, tzinfo=UTC))


def test_a_partners_timestamp_without_a_zone_is_still_utc() -> None:
    period = b'{"period_begin":"2024-05-01T12:00:00","period_end":"2024-05-01T13:00:00+02:00"}'
    read = decode(models.ExceptionalPeriod, period)
    assert (read.period_begin, read.period_end) == (NAIVE.replace(tzinfo=UTC), datetime(2024, 5, 1, 11, tzinfo=UTC))


def test_the_wires_time_needs_a_zone() -> None:
    with pytest.raises(ValueError, match=r"^invalid time '2024-05-01 12:00:00': expected a time with a zone"):
        wire_time(NAIVE)
