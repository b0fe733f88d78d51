"""A location against a plain model: the newest update of each EVSE wins, and the location is as new as its newest."""

from datetime import timedelta
from typing import Any

from hypothesis import settings, strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from flows.support import at, peer, stamp, without
from ocpi_emsp.testing.cpo import samples
from our_emsp import NOW

LOCATION = "locations/*/LOC1"
uid = st.sampled_from(["E1", "E2", "E/3"])
minute = st.integers(0, 12)
status = st.sampled_from(["AVAILABLE", "BLOCKED", "CHARGING", "OUTOFORDER"])


class LocationMachine(RuleBasedStateMachine):
    """PUT and PATCH of EVSEs and connectors, in any order of time."""

    def __init__(self) -> None:
        super().__init__()
        self.cpo = peer()
        self.evses: dict[str, dict[str, Any]] = {}
        """As the CPO said them."""
        self.updated: dict[str, str] = {}
        """When they, or anything in them, changed last."""
        self.newest = at(5)
        self.location_said = at(5)

    @initialize()
    def put_location(self) -> None:
        self.cpo.put(LOCATION, without(samples.location(), "evses") | {"last_updated": at(5)})

    def path(self, evse_uid: str) -> str:
        return f"{LOCATION}/{evse_uid.replace('/', '%2F')}"

    def changed(self, evse_uid: str, document: dict[str, Any], moment: str) -> None:
        self.evses[evse_uid] = document
        self.updated[evse_uid] = max(self.updated.get(evse_uid, moment), moment)
        self.newest = max(self.newest, self.updated[evse_uid])

    @rule(evse_uid=uid, moment=minute, state=status)
    def put_evse(self, evse_uid: str, moment: int, state: str) -> None:
        document = {**samples.evse(evse_uid), "status": state, "last_updated": at(moment)}
        known = self.evses.get(evse_uid)
        answer = self.cpo.push("PUT", self.path(evse_uid), document)
        assert answer.both == (201 if known is None else 200, 1000)
        connector = document["connectors"][0]
        if known is not None and known["connectors"][0]["last_updated"] > connector["last_updated"]:
            document["connectors"] = known["connectors"]
        if known is None or at(moment) >= known["last_updated"]:
            self.changed(evse_uid, document, at(moment))

    @rule(evse_uid=uid, moment=minute, state=status)
    def patch_evse(self, evse_uid: str, moment: int, state: str) -> None:
        change = {"status": state, "last_updated": at(moment)}
        known = self.evses.get(evse_uid)
        answer = self.cpo.push("PATCH", self.path(evse_uid), change)
        assert answer.both == ((404, 2000) if known is None else (200, 1000))
        if known is not None and at(moment) >= known["last_updated"]:
            self.changed(evse_uid, known | change, at(moment))

    @rule(evse_uid=uid, moment=minute, amperage=st.integers(1, 4))
    def patch_connector(self, evse_uid: str, moment: int, amperage: int) -> None:
        change = {"amperage": amperage, "last_updated": at(moment)}
        known = self.evses.get(evse_uid)
        answer = self.cpo.push("PATCH", f"{self.path(evse_uid)}/1", change)
        assert answer.both == ((404, 2000) if known is None else (200, 1000))
        if known is not None and at(moment) >= known["connectors"][0]["last_updated"]:
            self.changed(evse_uid, known | {"connectors": [known["connectors"][0] | change]}, at(moment))

    @precondition(lambda self: bool(self.evses))
    @rule(data=st.data(), step=st.integers(1, 60))
    def patch_without_time(self, data: st.DataObject, step: int) -> None:
        evse_uid = data.draw(st.sampled_from(sorted(self.evses)))
        self.cpo.clock.time = NOW + timedelta(minutes=step)
        moment = stamp(self.cpo.clock.time)
        assert self.cpo.push("PATCH", self.path(evse_uid), {"status": "RESERVED"}).both == (200, 1000)
        self.changed(evse_uid, self.evses[evse_uid] | {"status": "RESERVED"}, moment)

    @rule(moment=minute)
    def put_location_without_changes(self, moment: int) -> None:
        """What the CPO lists is what it last sent, under another time of its own."""
        document = without(samples.location(), "evses") | {"last_updated": at(moment)}
        if self.evses:
            document["evses"] = list(self.evses.values())
        self.cpo.put(LOCATION, document)
        if at(moment) >= self.location_said:
            self.location_said = at(moment)
            self.newest = max(self.newest, at(moment))

    @invariant()
    def the_newest_update_of_each_evse_is_stored(self) -> None:
        stored = self.cpo.data(LOCATION)
        expected = {uid: evse | {"last_updated": self.updated[uid]} for uid, evse in self.evses.items()}
        assert {evse["uid"]: evse for evse in stored.get("evses", [])} == expected
        assert [evse["uid"] for evse in stored.get("evses", [])] == list(self.evses)

    @invariant()
    def the_location_is_as_new_as_the_newest(self) -> None:
        assert self.cpo.data(LOCATION)["last_updated"] == self.newest


LocationMachine.TestCase.settings = settings(max_examples=30, stateful_step_count=25, deadline=None)
TestLocation = LocationMachine.TestCase
