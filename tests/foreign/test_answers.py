"""What a partner answers without an envelope is said, on every call that we make (issue 11, number 16)."""

import logging
from base64 import b64encode
from typing import Any, TypeAlias

import httpx
import pytest

from client.support import Mode, facing
from foreign.cases import cases
from foreign.test_connecting import HOST, PATHS, each_path, each_path_in_a_mode, partner
from ocpi_emsp.errors import OcpiError
from ocpi_emsp.wire.excerpt import LONGEST
from our_emsp import CPO_TOKEN
from scripted_cpo import ScriptedCpo

Case: TypeAlias = dict[str, Any]
ENCODED = b64encode(CPO_TOKEN.encode()).decode()
DRIVERS = ("T/1", "T%2F1", "T0", "IT-BEC-1")


def answer(case: Case, request: httpx.Request) -> httpx.Response:
    text = case["input"]["body"]
    for name, value in (
        ("token", CPO_TOKEN),
        ("token64", ENCODED),
        ("method", request.method),
        ("path", request.url.path),
    ):
        text = text.replace(f"{{{name}}}", value)
    return httpx.Response(case["input"]["status"], content=text.encode())


@cases("answers")
@each_path_in_a_mode
def test_the_words_are_in_the_exception_and_in_the_log(
    mode: Mode, path: str, case: Case, caplog: pytest.LogCaptureFixture
) -> None:
    of, says = PATHS[path], case["outcome"]["says"]
    _, emsp = partner(of, turns=lambda request: answer(case, request))
    caplog.set_level(logging.WARNING, "ocpi_emsp")
    with pytest.raises(OcpiError) as caught:
        of.make(emsp, mode)
    error = str(caught.value)
    assert says in error
    assert CPO_TOKEN not in error
    assert ENCODED not in error + caplog.text
    assert error.isprintable()
    assert len(error) < LONGEST + 300
    (line,) = [each.getMessage() for each in caplog.records if each.getMessage().startswith("call.failed")]
    words = says.partition(": ")[2] if says.startswith("answered") else says
    assert words.replace('"', "") in line.replace('\\"', "").replace("\\\\", "\\")
    without_ids = line.partition("correlation_id")[0]
    assert not [driver for driver in (CPO_TOKEN, *DRIVERS) if driver in without_ids]


@cases("answers")
def test_the_words_are_in_the_diagnosis(case: Case) -> None:
    cpo = ScriptedCpo(script={"/2.1.1/locations": lambda request: answer(case, request)})
    found = facing(cpo).parties.diagnose(f"{HOST}/cpo/versions", token=CPO_TOKEN)
    (check,) = [each for each in found.checks if each.name == "locations"]
    assert case["outcome"]["says"] in check.sentence
    assert CPO_TOKEN not in check.sentence


@each_path
@pytest.mark.parametrize(
    "body",
    [
        '{"status_code":1000,"data":[{"id":"SES1","auth_id":"DE8ACC12","location":{"id":',
        '[{"id":"SES1","kwh":1,"auth_id":"DE8ACC12"}]',
        '{"a":{"b":[{"c":{"uid" : "DE8ACC12", "visual_number":"DE8ACC12"}}]}}',
    ],
    ids=["cut", "list", "deep"],
)
def test_drivers_of_an_answer_without_an_envelope_are_not_quoted(
    body: str, path: str, caplog: pytest.LogCaptureFixture
) -> None:
    of = PATHS[path]
    _, emsp = partner(of, turns=lambda _: httpx.Response(500, content=body.encode()))
    caplog.set_level(logging.WARNING, "ocpi_emsp")
    with pytest.raises(OcpiError) as caught:
        of.make(emsp, "sync")
    assert "DE8ACC12" not in str(caught.value) + caplog.text
