"""include() hands a partner's request over whole, under WSGI and ASGI, whatever Django's middleware did to it."""

from __future__ import annotations

import asyncio
import importlib
import inspect
import io
import json
from collections.abc import Callable
from typing import Any, TypeAlias

import pytest
from django.core.exceptions import ImproperlyConfigured
from django.http import HttpResponse
from django.test import AsyncRequestFactory, Client, RequestFactory
from django.urls import resolve

from flows.support import offline_emsp
from ocpi_emsp.contrib.django import views
from ocpi_emsp.models import TokenType, WhitelistType
from our_emsp import register, token

BASE = "/ocpi/emsp"
Call: TypeAlias = Callable[..., HttpResponse]


@pytest.fixture
def token_of_cpo(monkeypatch: pytest.MonkeyPatch) -> str:
    """The token of a registered CPO, at the eMSP that the views have."""
    emsp = offline_emsp()
    emsp.tokens.put(token("a/b", type=TokenType.OTHER, whitelist=WhitelistType.ALLOWED))
    monkeypatch.setattr(views, "get_emsp", lambda: emsp)
    return register(emsp)


@pytest.fixture(params=["wsgi", "asgi", "asgi, sync view"])
def call(request: pytest.FixtureRequest, token_of_cpo: str) -> Call:
    """Has one request of the CPO answered by a view."""

    def called(
        method: str, path: str, body: bytes = b"", *, read: bool = False, token: str = token_of_cpo
    ) -> HttpResponse:
        headers = {"authorization": f"Token {token}"}
        factory = RequestFactory() if request.param == "wsgi" else AsyncRequestFactory()
        made = factory.generic(method, BASE + path, body, "application/json", headers=headers)
        if request.param == "wsgi":
            made.META["RAW_URI"] = BASE + path
        else:
            made.scope["raw_path"] = (BASE + path).partition("?")[0].encode()
        if read:
            assert made.body == body
        return asyncio.run(views.serve_async(made)) if request.param == "asgi" else views.serve(made)

    return called


def envelope(answer: HttpResponse) -> Any:
    assert answer.headers["content-type"].startswith("application/json")
    assert int(answer.headers["content-length"]) == len(answer.content)
    return json.loads(answer.content)


def test_an_unknown_token_is_refused_in_an_envelope(call: Call) -> None:
    answer = call("GET", "/versions", token="unknown")
    assert (answer.status_code, envelope(answer)["status_code"]) == (401, 2000)


@pytest.mark.parametrize("read", [False, True], ids=["unread", "read by a middleware"])
def test_the_body_arrives(call: Call, read: bool) -> None:
    answer = call("PUT", "/2.1.1/locations/NL/TNM/LOC1", json.dumps({"id": 7}).encode(), read=read)
    assert "/city" in {each["pointer"] for each in envelope(answer)["data"]}


def test_a_large_body_arrives(call: Call) -> None:
    body = json.dumps({"id": "x" * 3_000_000}).encode()  # more than Django keeps in memory
    assert envelope(call("PUT", "/2.1.1/locations/NL/TNM/LOC1", body))["status_code"] == 2001


def test_the_query_and_the_raw_path_arrive(call: Call) -> None:
    answer = call("POST", "/2.1.1/tokens/a%2Fb/authorize?type=OTHER")
    assert envelope(answer)["data"]["allowed"] == "ALLOWED"


def test_an_answer_to_head_has_a_length(call: Call) -> None:
    answer = call("HEAD", "/versions")
    assert answer.status_code == 405
    assert answer.headers["allow"] == "GET"


def test_a_body_in_chunks_arrives_where_the_server_ends_it(token_of_cpo: str) -> None:
    headers = {"authorization": f"Token {token_of_cpo}"}
    made = RequestFactory().put(BASE + "/2.1.1/locations/NL/TNM/LOC1", headers=headers)
    made.META |= {"CONTENT_LENGTH": "", "wsgi.input_terminated": True, "wsgi.input": io.BytesIO(b'{"id": 7}')}
    assert envelope(views.serve(made))["status_code"] == 2001


def test_a_prefix_that_is_no_latin_1(token_of_cpo: str) -> None:
    made = RequestFactory().get(BASE + "/versions", headers={"authorization": f"Token {token_of_cpo}"})
    made.META["SCRIPT_NAME"] = "/laden/\N{GREEK SMALL LETTER ALPHA}"
    assert views.serve(made).status_code == 200


def test_the_async_view_says_what_it_needs() -> None:
    with pytest.raises(ImproperlyConfigured, match=r"needs an ASGI server: include ocpi_emsp\.contrib\.django\.urls"):
        asyncio.run(views.serve_async(RequestFactory().get("/")))


def test_the_urls_of_a_project_lead_to_it() -> None:
    client = Client(enforce_csrf_checks=True, headers={"host": "localhost"})
    answer = client.post(BASE + "/2.1.1/credentials")
    assert (answer.status_code, answer.json()["status_code"]) == (401, 2000)
    assert resolve(BASE + "/2.1.1/credentials").view_name == "ocpi_emsp:root"


@pytest.mark.parametrize(("module", "view"), [("urls", views.serve), ("async_urls", views.serve_async)])
def test_no_transaction_and_no_login_are_around_a_view(module: str, view: Any) -> None:
    urls = importlib.import_module(f"ocpi_emsp.contrib.django.{module}")
    assert urls.app_name == "ocpi_emsp"
    (callback,) = (each.callback for each in urls.urlpatterns)
    assert inspect.unwrap(callback) is view
    assert callback._non_atomic_requests == {"default"}
    assert callback.login_required is False
    assert callback.csrf_exempt is True
