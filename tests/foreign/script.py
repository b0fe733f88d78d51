"""What a partner says of its objects one after the other, and what is stored in the end: one file for each.

A word is ``whole`` (a location, session or tariff: pushed by PUT, or pulled), ``put`` or ``patch`` (of the path), with
``at`` (minutes, or ``now+1h`` and the like; null or left out: without a ``last_updated``) and what is different ``but``
for that. A location has its two EVSEs, or those in ``evses``; an EVSE its connector, or those in ``connectors``: id,
time, changes.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from attrs import frozen

from foreign.ways import How
from ocpi_emsp.testing.cpo import samples
from ocpi_emsp.testing.cpo.wire import encode, timestamp
from ocpi_emsp.wire import Request
from sync.support import NOW, Document, Synced

_DAY = datetime(2024, 5, 1, tzinfo=UTC)


def scripts(folder: str) -> pytest.MarkDecorator:
    """Every file of a folder, as the parameter ``script``."""
    files = sorted((Path(__file__).parent / folder).glob("*.json"))
    assert files, f"there is nothing in {folder}"
    found = [pytest.param(json.loads(each.read_text("utf-8")), id=each.stem) for each in files]
    return pytest.mark.parametrize("script", found)


_FROM_NOW = {"now-2s": timedelta(seconds=-2), "now+1m": timedelta(minutes=1), "now+1h": timedelta(hours=1)}


def moment(at: int | str) -> str:
    """The time of a word."""
    return timestamp(NOW + _FROM_NOW[at] if at in _FROM_NOW else _DAY + timedelta(minutes=int(at)))


def _dated(document: Document, at: int | str | None) -> Document:
    others = {name: value for name, value in document.items() if name != "last_updated"}
    return others if at is None else others | {"last_updated": moment(at)}


@frozen
class Desk:
    """A partner that says what a script has."""

    pair: Synced
    how: How

    def say(self, words: list[Mapping[str, Any]]) -> Iterator[Any]:
        """Say one word after the other; the envelope or the report that answers each."""
        for word in words:
            self.pair.clock.time += timedelta(seconds=1)
            if "whole" not in word:
                method = "PUT" if "put" in word else "PATCH"
                yield self.push(method, word[method.lower()], _part(word))
            elif self.how == "push":
                module, document = f"{word['whole']}s", _whole(word)
                yield self.push("PUT", f"{module}/*/{document['id']}", document)
            else:
                yield self.pull(f"{word['whole']}s", _whole(word))

    def push(self, method: str, path: str, document: Document) -> Any:
        """The envelope of the answer, which refuses nothing."""
        headers = {"authorization": f"Token {self.pair.token}"}
        url = "/2.1.1/" + path.replace("*/", "NL/TNM/", 1)
        response = self.pair.emsp.handle(Request(method, url, headers=headers, body=encode(document)))
        envelope = json.loads(response.body)
        assert envelope["status_code"] == 1000, envelope
        return envelope

    def pull(self, module: str, *documents: Any) -> Any:
        """The report of a sync of a list that has these, which rejects nothing."""
        self.pair.cpo.ignores_dates = True
        self.pair.cpo.lists[module] = list(documents)
        report = self.pair.pull(module)
        assert (report.ended.value, report.rejected) == ("done", 0), report
        return report

    def get(self, path: str) -> Any:
        """What is stored there."""
        headers = {"authorization": f"Token {self.pair.token}"}
        url = "/2.1.1/" + path.replace("*/", "NL/TNM/", 1)
        return json.loads(self.pair.emsp.handle(Request("GET", url, headers=headers)).body)["data"]


def _whole(word: Mapping[str, Any]) -> Document:
    kind = word["whole"]
    if kind != "location":
        made: Document = samples.session("SES1") if kind == "session" else samples.tariff("TAR1")
        return _changed(made, word)
    evses = word.get("evses", [["LOC1-E1", 0, {}], ["LOC1-E2", 0, {}]])
    made = samples.location("LOC1") | {"evses": [_evse(*each) for each in evses]}
    return _changed(made, word)


def _changed(made: Document, word: Mapping[str, Any]) -> Document:
    changes: Document = word.get("but", {})
    return _dated(made | changes, word.get("at"))


def _evse(uid: str, at: int | None, changes: Document, connectors: list[Any] | None = None) -> Document:
    made: Document = samples.evse(uid) | {"connectors": [_connector(*each) for each in connectors or [["1", 0, {}]]]}
    return _dated(made | changes, at)


def _connector(connector_id: str, at: int | None, changes: Document) -> Document:
    return _dated(samples.connector(connector_id) | changes, at)


def _part(word: Mapping[str, Any]) -> Document:
    """What is put at a path, or patched there."""
    changes: Document = word.get("but", {})
    if "patch" in word:
        return _dated(changes, word.get("at"))
    *_, evse_uid, last = word["put"].split("/")
    if evse_uid == "LOC1":
        return _evse(last, word.get("at"), changes, word.get("connectors"))
    return _connector(last, word.get("at"), changes)
