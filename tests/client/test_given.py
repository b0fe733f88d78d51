"""What an eMSP is given is checked when it is given, by a sentence that says what is expected."""

import functools
from collections.abc import Callable
from datetime import datetime, timedelta
from typing import Any, cast

import pytest

from client.support import registered
from ocpi_emsp import Emsp, PartyId
from ocpi_emsp.events import CdrReceived
from ocpi_emsp.storage import MemoryStore, SqlStore
from our_emsp import make_emsp, token
from scripted_cpo import ScriptedCpo

GOOD: dict[str, Any] = {
    "country_code": "IT", "party_id": "BEC", "name": "Be", "url": "https://emsp.test/ocpi", "store": "memory",
}  # fmt: skip


@pytest.mark.parametrize(
    ("given", "error", "said"),
    [
        (
            {"store": "mysql://user:secret@host/db"},
            ValueError,
            "invalid store 'mysql://…': expected memory, or a",
        ),
        ({"store": "emsp.db"}, ValueError, "invalid store 'emsp.db': expected memory, or a URL of"),
        ({"store": 3}, TypeError, "invalid store '3': expected a URL or a store, for example sqlite:///emsp.db"),
        ({"url_policy": "any"}, ValueError, "invalid url_policy 'any': expected https or loopback, for example https"),
        ({"url": "emsp.test"}, ValueError, "invalid url 'emsp.test': expected the absolute public base"),
        ({"url": "https://emsp.test/versions/"}, ValueError, "invalid url 'https://emsp.test/versions/': expected the"),
        ({"country_code": "ITA"}, ValueError, "invalid country_code 'ITA': expected 2 characters, for example IT"),
        ({"party_id": "BE"}, ValueError, "invalid party_id 'BE': expected 3 characters, for example BEC"),
        ({"policy": "strict"}, TypeError, "invalid policy 'strict': expected an object of the class Policy"),
        ({"matrix": "full"}, TypeError, "invalid matrix 'full': expected an object of the class SupportMatrix"),
        ({"limits": 3}, TypeError, "invalid limits '3': expected an object of the class Limits"),
        ({"country_code": None}, TypeError, "invalid country_code 'None': expected a text"),
        ({"url": b"https://emsp.test"}, TypeError, "invalid url 'b"),
        ({"name": " "}, ValueError, "invalid name ' ': expected the name that drivers know us by"),
        ({"business_details": "Be"}, TypeError, "invalid business_details 'Be': expected an object of the class"),
        ({"clock": 3}, TypeError, "invalid clock '3': expected an object with now"),
        ({"sleep": 3}, TypeError, "invalid sleep '3': expected a function of seconds"),
        ({"telemetry": 3}, TypeError, "invalid telemetry '3': expected a Telemetry"),
        (
            {"http_client": 3},
            TypeError,
            "invalid http_client '3': expected a function that makes an httpx2.Client or httpx.Client",
        ),
        (
            {"aio_http_client": 3},
            TypeError,
            "invalid aio_http_client '3': expected a function that makes an httpx2.AsyncClient or httpx.A",
        ),
        (
            {"store": "sqlite://folder/emsp.db"},
            ValueError,
            "invalid store 'sqlite://…': expected a third slash, for example sqlite:///emsp.db",
        ),
        (
            {"store": "postgresql://me:secret@host:port/x"},
            ValueError,
            "invalid store 'postgresql://…': expected memory",
        ),
        ({"required_modules": "cdrs"}, TypeError, "invalid required_modules 'cdrs': expected a collection"),
        ({"required_modules": ["vendor"]}, ValueError, "invalid required_modules 'vendor': expected some of cdrs"),
        (
            {"outbox_events": ("CdrReceived",)},
            TypeError,
            "invalid outbox_events 'CdrReceived': expected a class of ocpi_emsp.events, for example CdrReceived",
        ),
    ],
)
def test_a_setting_is_refused_with_its_name(given: dict[str, Any], error: type[Exception], said: str) -> None:
    with pytest.raises(error) as caught:
        Emsp(**(GOOD | given))
    assert str(caught.value).startswith(said)
    assert "secret" not in str(caught.value)


def calls(emsp: Emsp) -> dict[str, Callable[[], object]]:
    partner = emsp.partner("NL-TNM")
    with partner.client() as cpo:
        pass
    on: Any = emsp.on
    authorize: Any = emsp.authorize
    return {
        "invalid authorize hook '3': expected a function of an AuthorizationRequest": lambda: authorize(3),
        "invalid event 'CdrReceived': expected a class of ocpi_emsp.events": lambda: on("CdrReceived"),
        "invalid listener '3': expected a function of one argument": lambda: on(CdrReceived)(3),
        "invalid listener 'nothing': expected a function of one argument, the event, but its parameters are ()": (
            lambda: on(CdrReceived)(nothing)
        ),
        "invalid party 'NLD-TNM': expected CC-XXX, for example NL-TNM": lambda: emsp.parties.invite("NLD-TNM"),
        "invalid party 'TNM': expected CC-XXX, for example NL-TNM": lambda: emsp.partner("TNM"),
        "invalid profile field 'page_limt': expected one of page_limit": lambda: partner.set_profile(page_limt=50),
        "invalid date_from '2024-01-01 00:00:00': expected": lambda: cpo.locations(date_from=datetime(2024, 1, 1)),
        "invalid date_to '2024-01-01 00:00:00': expected": lambda: partner.reconcile(date_to=datetime(2024, 1, 1)),
        "invalid since '2024-01-01 00:00:00': expected": lambda: partner.sync(since=datetime(2024, 1, 1)),
        "invalid batch '0': expected 1 or more events": lambda: emsp.relay(print, batch=0),
        "invalid sync_every '0:00:00': expected a timedelta above 0": lambda: running(emsp, sync_every=timedelta(0)),
        "invalid sync_every '4': expected a timedelta above 0": lambda: running(emsp, sync_every=4),
        "invalid every '-1': expected seconds of 0 or more": lambda: running(emsp, every=-1),
        "invalid limit '-1': expected 0 or more": lambda: emsp.parties.list(limit=-1),
    }


def nothing() -> None:
    """No listener: it takes no event."""


def running(emsp: Emsp, **settings: Any) -> None:
    with emsp.running(**settings):
        raise AssertionError("it runs")


@pytest.mark.parametrize(
    ("setting", "said"),
    [
        ("clock", "invalid clock 'object': expected an object with now"),
        ("sleep", "invalid sleep 'object': expected a function of seconds"),
        ("telemetry", "invalid telemetry 'object': expected a Telemetry"),
        (
            "http_client",
            "invalid http_client 'object': expected a function that makes an httpx2.Client or httpx.Client",
        ),
        ("store", "invalid store 'object': expected a URL or a store"),
        ("policy", "invalid policy 'object': expected an object of the class Policy"),
        ("limits", "invalid limits 'object': expected an object of the class Limits"),
        ("business_details", "invalid business_details 'object': expected an object of the class BusinessDetails"),
        ("name", "invalid name 'object': expected a text"),
    ],
)
def test_an_object_of_the_wrong_kind_is_named_by_its_class(setting: str, said: str) -> None:
    with pytest.raises(TypeError) as caught:
        Emsp(**(GOOD | {setting: object()}))
    assert str(caught.value).startswith(said)
    assert "<" not in str(caught.value)


@pytest.mark.parametrize(
    "call",
    ["listener", "event", "authorize", "publish", "sync_every", "party", "date_from", "url_policy", "profile", "flag"],
)
def test_an_object_in_a_call_is_named_by_its_class(call: str) -> None:
    emsp, odd = make_emsp(), cast("Any", object())
    calls: dict[str, Callable[[], object]] = {
        "listener": lambda: emsp.on(CdrReceived)(odd),
        "event": lambda: emsp.on(odd),
        "authorize": lambda: emsp.authorize(odd),
        "publish": lambda: emsp.relay(odd),
        "sync_every": lambda: running(emsp, sync_every=odd),
        "party": lambda: emsp.partner(odd),
        "date_from": lambda: emsp.cdrs.list("NL-TNM", date_from=odd),
        "url_policy": lambda: Emsp(**GOOD, url_policy=odd),
        "profile": lambda: emsp.partner("NL-TNM").set_profile(page_limit=odd),
        "flag": lambda: emsp.partner("NL-TNM").set_profile(trailing_slash=odd),
    }
    with pytest.raises((TypeError, ValueError), match=r"'object': expected ") as caught:
        calls[call]()
    assert "<" not in str(caught.value)


@pytest.mark.parametrize("said", calls(make_emsp()))
def test_a_call_is_refused_at_once(said: str) -> None:
    emsp = registered(ScriptedCpo(lambda _: pytest.fail("nothing is sent")))
    with pytest.raises((ValueError, TypeError)) as caught:
        calls(emsp)[said]()
    assert str(caught.value).startswith(said)


def test_the_wait_for_a_command_has_no_negative_end() -> None:
    emsp = make_emsp()
    with pytest.raises(ValueError, match="invalid timeout '-1'"):
        emsp._contexts.waiting.outcome(None, -1).send(None)  # type: ignore[arg-type]


def test_listeners_may_be_functions_methods_and_partials() -> None:
    emsp = make_emsp()
    heard: list[Any] = []

    class Billing:
        def bill(self, event: CdrReceived) -> None:
            heard.append(event)

        async def note(self, event: CdrReceived) -> None:
            heard.append(event)

    def two(number: int, event: CdrReceived) -> None:
        heard.append((number, event))

    for listener in (Billing().bill, Billing().note, functools.partial(two, 1), heard.append, print):
        assert emsp.on(CdrReceived)(listener) is listener


def test_a_party_is_named_in_one_way() -> None:
    party = PartyId("nl", "tnm")
    assert (str(party), party, party == PartyId.parse(" nl-Tnm "), hash(party)) == (
        "NL-TNM", ("NL", "TNM"), True, hash(PartyId("NL", "TNM")),
    )  # fmt: skip
    assert PartyId.received("nld", "t-m") == ("NLD", "T-M")
    assert str(make_emsp().partner(PartyId.received("NLD", "TNM")).party) == "NLD-TNM"
    for text in ("", "TNM", "NL_TNM", "NL-TNMX", "NLTNM", "NL-T M", "NL-TNM\n1"):
        with pytest.raises(ValueError, match=r"expected CC-XXX, for example NL-TNM"):
            PartyId.parse(text)


def test_a_store_is_given_as_a_url_and_closed_by_the_emsp(tmp_path: Any) -> None:
    emsp = Emsp(**GOOD | {"store": f"sqlite:///{tmp_path / 'emsp.db'}"})
    emsp.tokens.put(token())
    emsp.close()
    assert [each.uid for each in emsp.tokens.list()] == [token().uid], "the next call opens it again"
    emsp.close()
    assert Emsp(**GOOD).tokens.put(token()) == token()
    given = MemoryStore()
    Emsp(**GOOD | {"store": given}).close()


def test_a_store_that_was_given_is_not_closed(tmp_path: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    store = SqlStore(f"sqlite:///{tmp_path / 'emsp.db'}")
    monkeypatch.setattr(SqlStore, "close", lambda _: pytest.fail("it is its owner's"))
    Emsp(**GOOD | {"store": store}).close()
    monkeypatch.undo()
    store.close()
