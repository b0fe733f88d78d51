"""What is seen of two EVSEs by their bytes is what reading both says."""

from random import Random

from hypothesis import given, settings, strategies as st

from ocpi_emsp.codec.content import same_content
from ocpi_emsp.codec.moments import said_at
from ocpi_emsp.codec.patch import members
from ocpi_emsp.codec.restated import restated
from ocpi_emsp.codec.strict import decode_part
from ocpi_emsp.models import Evse

TIMES = ["2024-05-01T00:00:00Z", "2024-05-01T00:01:00Z", "2024-05-01T00:01:00.5Z", "2024-05-01t00:00:00z"]
TIMES += ["2024-05-01T00:00:00", "2024-05-01T02:00:00+02:00", "2024-05-01"]
STATUSES = ["AVAILABLE", "CHARGING", "Available", "\\u0041VAILABLE", "FREE"]
BEFORE = [
    "",
    '"note":"AVAILABLE",',
    '"AVAILABLE":1,',
    '"note":"\\"AVAILABLE",',
    '"status":"CHARGING",',
    '"status":null,',
]
BEHIND = ["", ',"note":"2024-05-01T00:00:00Z"', ',"last_updated":"2024-05-01T00:01:00Z"', ',"2024-05-01T00:00:00Z":1']
BEHIND += [
    ',"status_schedule":[{"period_begin":"2024-05-01T00:00:00Z","status":"AVAILABLE"}]',
    ',"last\\u005fupdated":null',
]


def written(chance: Random) -> bytes:
    """An EVSE, whose texts stand at several places of it."""
    times, statuses = TIMES[:3] * 5 + TIMES, STATUSES[:2] * 3 + STATUSES
    connector = '{"id":"1","standard":"CHADEMO","format":"CABLE","power_type":"DC","voltage":400,"amperage":16'
    connectors = f'"connectors":[{connector},"last_updated":"{chance.choice(TIMES[:2])}"}}]'
    said = f'"status":"{chance.choice(statuses)}"', f'"last_updated":"{chance.choice(times)}"'
    parts = ['"uid":"E1"', said[0], connectors, said[1]]
    if chance.random() < 0.1:
        parts.reverse()
    return f"{{{chance.choice(BEFORE)}{','.join(parts)}{chance.choice(BEHIND)}}}".encode()


def changed(document: bytes, chance: Random) -> bytes:
    """The same with a status, or a time, or both, replaced at one place each."""
    for texts in (STATUSES[:2], TIMES[:3]):
        old, new = (b'"%b"' % chance.choice(texts).encode() for _ in range(2))
        places = [at for at in range(len(document)) if document.startswith(old, at)]
        if places:
            at = chance.choice(places)
            document = document[:at] + new + document[at + len(old) :]
    return document


def test_a_status_and_a_time_are_all_that_may_differ() -> None:
    """Otherwise the law below would hold of nothing."""
    head, tail = b'{"uid":"E1","status":', b',"connectors":[%b],"last_updated":"2024-05-01T00:0%d:00Z"}'
    socket = b'{"id":"1","standard":"CHADEMO","format":"CABLE","power_type":"DC","voltage":400,"amperage":16,'
    socket += b'"last_updated":"2024-05-01T00:00:00Z"}'
    stored = head + b'"AVAILABLE"' + tail % (socket, 0)
    found = []
    for status, minute, connector in (
        (b'"BLOCKED"', 1, socket),
        (b'"AVAILABLE"', 1, socket),
        (b'"BLOCKED"', 0, socket),
    ):
        received = head + status + tail % (connector, minute)
        evse = decode_part(Evse, received)
        assert evse is not None
        seen = restated(stored, received, evse)
        assert seen is not None
        found.append(seen.is_same)
        assert restated(stored, received.replace(b"400", b"401"), evse) is None
    assert found == [False, True, False]


@settings(max_examples=60)
@given(seed=st.integers(0, 2**32))
def test_bytes_say_what_reading_says(seed: int) -> None:
    chance = Random(seed)
    for _ in range(20):
        stored = written(chance)
        received = changed(stored, chance) if chance.random() < 0.9 else written(chance)
        evse = decode_part(Evse, received)
        found = None if evse is None else restated(stored, received, evse)
        if found is not None:
            before, after = members(stored), members(received)
            differing = {name for name in before | after if before.get(name) != after.get(name)}
            assert differing <= {"status", "last_updated"}
            assert found.said == said_at(stored)
            assert found.is_same == same_content(stored, received, "evse")
            assert stored.count(b'":') == received.count(b'":')
