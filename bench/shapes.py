"""Hostile bodies of 4 MiB: what a partner may send that costs more than it looks, on every route that takes a body.

Rules of this module: a shape is a pattern, not one input; what it is filled up with decides its size.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

from attrs import frozen

import samples
from samples import dump

SIZE = 4 * 1024 * 1024
"""Bytes of a body: the limit of a request."""
_ROOM = 8192
_BASE = "/2.1.1"
LOCATION, EVSE = f"{_BASE}/locations/NL/TNM/LOC1", f"{_BASE}/locations/NL/TNM/LOC1/32560"
CONNECTOR, SESSION = f"{EVSE}/1", f"{_BASE}/sessions/NL/TNM/101"
TARIFF, CDRS = f"{_BASE}/tariffs/NL/TNM/12", f"{_BASE}/cdrs"
AUTHORIZE, RESULT, CREDENTIALS = (
    f"{_BASE}/tokens/T0/authorize",
    f"{_BASE}/commands/START_SESSION/u1",
    f"{_BASE}/credentials",
)


@frozen
class Shape:
    """One hostile request."""

    name: str
    method: str
    path: str
    body: bytes


def objects() -> dict[str, dict[str, Any]]:
    """A valid object by the name of its kind."""
    location, cdr = json.loads(samples.location(1)), json.loads(samples.cdr(1))
    evse = location["evses"][0]
    names = ("auth_id", "auth_method", "location", "currency", "charging_periods", "total_cost", "last_updated")
    session = {name: cdr[name] for name in names}
    session |= {"id": "101", "start_datetime": cdr["start_date_time"], "kwh": 1, "status": "ACTIVE"}
    return {
        "location": location,
        "evse": evse,
        "connector": evse["connectors"][0],
        "session": session,
        "cdr": cdr,
        "tariff": cdr["tariffs"][0],
        "references": {"location_id": "LOC1", "evse_uids": ["32560"]},
        "result": {"result": "ACCEPTED"},
        "credentials": {
            "token": "token-b",
            "url": "https://cpo.example.com/versions",
            "business_details": {"name": "The New Motion"},
            "party_id": "TNM",
            "country_code": "NL",
        },
    }


def filled(document: dict[str, Any], *path: str | int, item: bytes, number: int = 0) -> bytes:
    """A document with a list of ``number`` items, or as many as fit, in one place."""
    document = json.loads(json.dumps(document))
    part: Any = document
    for step in path[:-1]:
        part = part[step]
    part[path[-1]] = "@"
    before, after = dump(document).split(b'"@"')
    number = number or (SIZE - _ROOM - len(before) - len(after)) // (len(item) + 1)
    return before + b"[" + b",".join([item] * number) + b"]" + after


def padded(body: bytes) -> bytes:
    """An object with a long text that the specification does not know, up to the size."""
    return body[:-1] + b',"vendor_text":"' + b"x" * (SIZE - _ROOM - len(body)) + b'"}'


def with_members(document: dict[str, Any], member: str) -> bytes:
    """An object with as many members as fit; ``member`` has a place for their number."""
    length = len(member % 1000000) + 1
    return dump(document)[:-1] + b"," + ",".join(member % each for each in range(SIZE // length)).encode() + b"}"


def with_raw(document: dict[str, Any], name: str, raw: bytes) -> bytes:
    """An object with one more member, undecoded."""
    return dump({**document, name: "@"}).replace(b'"@"', raw)


def _numbered(template: str, number: int) -> bytes:
    return ",".join(template % each for each in range(number)).encode()


def shapes() -> Iterator[Shape]:
    """All of them."""
    yield from _of_lists()
    yield from _of_scalars()
    yield from _of_members()
    yield from _of_copies()
    yield from _valid()
    yield from _of_patches()
    yield from _of_others()
    yield from _of_bytes()


def _of_lists() -> Iterator[Shape]:
    own = objects()
    location, evse, session, cdr, tariff = (own[each] for each in ("location", "evse", "session", "cdr", "tariff"))
    for name, item in (("{}", b"{}"), ("0", b"0"), ("[]", b"[]"), ("null", b"null"), ('""', b'""'), ('","', b'","')):
        yield Shape(f"location, EVSEs {name}", "PUT", LOCATION, filled(location, "evses", item=item))
    for name, item in (("{}", b"{}"), ("[[]]", b"[[]]"), ('{"a":{}}', b'{"a":{}}')):
        yield Shape(f"evse, connectors {name}", "PUT", EVSE, filled(evse, "connectors", item=item))
    yield Shape("session, periods {}", "PUT", SESSION, filled(session, "charging_periods", item=b"{}"))
    yield Shape("session, periods 0", "PUT", SESSION, filled(session, "charging_periods", item=b"0"))
    yield Shape("CDR, periods {}", "POST", CDRS, filled(cdr, "charging_periods", item=b"{}"))
    yield Shape("CDR, dimensions {}", "POST", CDRS, filled(cdr, "charging_periods", 0, "dimensions", item=b"{}"))
    yield Shape("tariff, elements {}", "PUT", TARIFF, filled(tariff, "elements", item=b"{}"))
    yield Shape("location, facilities X", "PUT", LOCATION, filled(location, "facilities", item=b'"X"'))
    for number, item in ((19_000, b"{}"), (19_000, b'"X"')):
        body = padded(filled(location, "evses" if item == b"{}" else "facilities", item=item, number=number))
        yield Shape(f"location, {number} {item.decode()} and a text", "PUT", LOCATION, body)
    many = b'{"uid":"1","status":"X","connectors":[],"capabilities":[' + b",".join([b'"X"'] * 40) + b"]}"
    yield Shape("location, capabilities X in EVSEs", "PUT", LOCATION, filled(location, "evses", item=many, number=9000))


def _of_scalars() -> Iterator[Shape]:
    own = objects()
    location, connector, session = own["location"], own["connector"], own["session"]
    digits = b"1" * (SIZE - _ROOM)
    yield Shape("connector, voltage of 4 million digits", "PUT", CONNECTOR, with_raw(connector, "voltage", digits))
    yield Shape("session, kwh of 4 million digits", "PUT", SESSION, with_raw(session, "kwh", digits))
    yield Shape("session, kwh a text of 4 million digits", "PUT", SESSION, with_raw(session, "kwh", b'"%b"' % digits))
    numbers = filled(location, "vendor", item=b"1e999999999")
    yield Shape("location, numbers 1e999999999", "PUT", LOCATION, numbers)
    yield Shape("location, numbers of 4,200 digits", "PUT", LOCATION, filled(location, "vendor", item=b"1" * 4200))
    period = {"start_date_time": "2015-06-29T22:00:09Z", "dimensions": [{"type": "ENERGY", "volume": "@"}]}
    huge = dump(period).replace(b'"@"', b"1." + b"3" * 9000)
    yield Shape("session, volumes of 9,000 digits", "PUT", SESSION, filled(session, "charging_periods", item=huge))
    yield Shape("location, city of 4 MiB", "PUT", LOCATION, with_raw(location, "city", b'"%b"' % (b"x" * len(digits))))
    for name, text in (("surrogates", b"\\ud83d"), ("escapes", b"\\u00e9"), ("not ASCII", "é".encode())):
        raw = b'"%b"' % (text * (len(digits) // len(text)))
        yield Shape(f"location, city of {name}", "PUT", LOCATION, with_raw(location, "city", raw))
    blank = b'"%b"' % (b" " * len(digits))
    yield Shape("location, time blank", "PUT", LOCATION, with_raw(location, "last_updated", blank))
    yield Shape("connector, voltage a blank text", "PUT", CONNECTOR, with_raw(connector, "voltage", blank))


def _of_members() -> Iterator[Shape]:
    own = objects()
    yield Shape("location, unknown members", "PUT", LOCATION, with_members(own["location"], '"u%d":1'))
    yield Shape("session, one member again and again", "PUT", SESSION, with_members(own["session"], '"a":%d'))
    yield Shape("location, members by escapes", "PUT", LOCATION, with_members(own["location"], '"\\u0061":%d'))
    key = b'{"%b":{%b}}' % (b"k" * (SIZE // 2), b",".join([b'"a":1'] * 9000))
    yield Shape("location, repeated members below a key of 2 MiB", "PUT", LOCATION, with_raw(own["location"], "v", key))
    many = b"{" + _numbered('"u%d":1', 300) + b"}"
    yield Shape("location, EVSEs of unknown members", "PUT", LOCATION, filled(own["location"], "evses", item=many))
    again = b"{" + b",".join([b'"a":1'] * 300) + b"}"
    yield Shape("tariff, repeated members", "PUT", TARIFF, filled(own["tariff"], "vendor", item=again))


def _of_copies() -> Iterator[Shape]:
    own = objects()
    session, cdr = own["session"], own["cdr"]
    place = ("location", "evses")
    yield Shape("CDR, EVSEs {} in the copy", "POST", CDRS, filled(cdr, *place, item=b"{}"))
    yield Shape("CDR, 19,000 EVSEs {} and a text", "POST", CDRS, padded(filled(cdr, *place, item=b"{}", number=19_000)))
    inner = b'{"connectors":[' + b",".join([b"{}"] * 40) + b"]}"
    body = padded(filled(session, *place, item=inner, number=2_000))
    yield Shape("session, connectors {} in the copy", "PUT", SESSION, body)
    odd = dump({**own["evse"], "status": "ODD", "capabilities": ["ODD"]})
    yield Shape("session, odd EVSEs in the copy", "PUT", SESSION, filled(session, *place, item=odd))


def _valid() -> Iterator[Shape]:
    own = objects()
    yield Shape("location, valid", "PUT", LOCATION, samples.location(7600))
    odd = samples.location(7600).replace(b'"AVAILABLE"', b'"FAULTED"')
    yield Shape("location, a status that is not listed", "PUT", LOCATION, odd)
    yield Shape("location, times without a zone", "PUT", LOCATION, samples.location(7600).replace(b'Z"', b'"'))
    undated = samples.location(7600).replace(b'"last_updated"', b'"updated"')
    yield Shape(
        "location, EVSEs without a time", "PUT", LOCATION, undated[:-1] + b',"last_updated":"2015-06-29T20:00:00Z"}'
    )
    twins = filled(own["location"], "evses", item=dump(own["evse"]))
    yield Shape("location, EVSEs of one uid", "PUT", LOCATION, twins)
    connectors = filled(own["evse"], "connectors", item=dump(own["connector"]))
    yield Shape("EVSE, connectors of one id", "PUT", EVSE, connectors)
    period = dump(own["session"]["charging_periods"][0])
    yield Shape("session, periods alike", "PUT", SESSION, filled(own["session"], "charging_periods", item=period))
    yield Shape("CDR, periods alike", "POST", CDRS, filled(own["cdr"], "charging_periods", item=period))
    lower = period.replace(b'"ENERGY"', b'"energy"')
    yield Shape("session, periods with faults", "PUT", SESSION, filled(own["session"], "charging_periods", item=lower))
    element = dump(own["tariff"]["elements"][0])
    yield Shape("tariff, elements alike", "PUT", TARIFF, filled(own["tariff"], "elements", item=element))


def _of_patches() -> Iterator[Shape]:
    own = objects()
    yield Shape("PATCH location, EVSEs {}", "PATCH", LOCATION, filled({}, "evses", item=b"{}"))
    item = b'{"uid":"32560","status":"CHARGING"}'
    yield Shape("PATCH location, one EVSE again and again", "PATCH", LOCATION, filled({}, "evses", item=item))
    evses = _numbered('{"uid":"%d","status":"BLOCKED"}', 100_000)
    yield Shape("PATCH location, EVSEs of many uids", "PATCH", LOCATION, b'{"evses":[' + evses + b"]}")
    for number, name in ((45_000, "many ids"), (9_000, "9,000 ids and a text")):
        connectors = b'{"connectors":[' + _numbered('{"id":"%d","standard":"CHADEMO"}', number) + b"]}"
        yield Shape(
            f"PATCH EVSE, connectors of {name}", "PATCH", EVSE, connectors if number > 9_000 else padded(connectors)
        )
    yield Shape("PATCH session, periods {}", "PATCH", SESSION, filled({}, "charging_periods", item=b"{}"))
    period = dump(own["session"]["charging_periods"][0])
    yield Shape("PATCH session, periods alike", "PATCH", SESSION, filled({}, "charging_periods", item=period))
    yield Shape("PATCH tariff, unknown members", "PATCH", TARIFF, with_members({"currency": "EUR"}, '"u%d":1'))
    yield Shape("PATCH credentials, unknown members", "PATCH", CREDENTIALS, with_members({"url": "x"}, '"u%d":1'))


def _of_others() -> Iterator[Shape]:
    own = objects()
    references = filled(own["references"], "evse_uids", item=b'"x"')
    yield Shape("authorize, EVSEs", "POST", AUTHORIZE, references)
    some = padded(filled(own["references"], "evse_uids", item=b'"x"', number=19_000))
    yield Shape("authorize, 19,000 EVSEs and a text", "POST", AUTHORIZE, some)
    yield Shape("authorize, empty texts", "POST", AUTHORIZE, filled({}, "evse_uids", item=b'""'))
    yield Shape("authorize, objects of nothing", "POST", AUTHORIZE, filled({}, "vendor", item=b'{"a":null}'))
    yield Shape("result, unknown members", "POST", RESULT, with_members(own["result"], '"u%d":1'))
    yield Shape("result, a text of 4 MiB", "POST", RESULT, b'"' + b"x" * (SIZE - _ROOM) + b'"')
    yield Shape("credentials, roles {}", "POST", CREDENTIALS, filled(own["credentials"], "roles", item=b"{}"))
    yield Shape(
        "credentials, a token of 4 MiB",
        "PUT",
        CREDENTIALS,
        with_raw(own["credentials"], "token", b'"%b"' % (b"x" * (SIZE - _ROOM))),
    )


def _of_bytes() -> Iterator[Shape]:
    yield Shape("nothing but blanks", "PUT", LOCATION, b" " * SIZE)
    yield Shape("lists in lists, never closed", "PUT", LOCATION, b"[" * SIZE)
    yield Shape("lists in lists, 900 deep", "PUT", LOCATION, b"[" + b",".join([b"[" * 900 + b"]" * 900] * 2300) + b"]")
    yield Shape("objects in objects, never closed", "PUT", SESSION, b'{"a":' * (SIZE // 5))
    yield Shape("a text that never ends", "PUT", SESSION, b'{"a":"' + b"x" * (SIZE - _ROOM))
    yield Shape("backslashes", "PUT", TARIFF, b'{"a":"' + b"\\\\" * (SIZE // 2 - _ROOM) + b'"}')
    yield Shape("quotes by escapes", "PUT", TARIFF, b'{"a":"' + b'\\",' * (SIZE // 3 - _ROOM) + b'"}')
    yield Shape("lists of one around a location", "PUT", LOCATION, b"[" * 400 + samples.location(7600) + b"]" * 400)
    yield Shape("bytes that are not UTF-8", "PUT", LOCATION, b'{"a":"' + b"x" * (SIZE - _ROOM) + b'\xff"}')
