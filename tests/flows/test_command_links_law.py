"""The link between commands and sessions, held against its law for any order of what happens."""

from __future__ import annotations

from datetime import timedelta
from itertools import pairwise
from typing import Any, TypeAlias

from hypothesis import example, given, strategies as st

from flows.commands_desk import E1, E2, desk
from ocpi_emsp import Limits, Session
from ocpi_emsp.codec import decode
from ocpi_emsp.flows.commands.session_match import PendingMatch, fitting
from ocpi_emsp.models import CommandType
from ocpi_emsp.resources import SentCommand
from ocpi_emsp.testing.cpo import samples
from ocpi_emsp.testing.cpo.wire import encode
from our_emsp import NOW

LIMITS = Limits()
AUTH_IDS, LOCATIONS, EVSES = ["A", "B"], ["LOC1", "LOC2"], ["E1", "E2"]
moments = st.integers(-600, 600).map(lambda minute: NOW + timedelta(seconds=30 * minute))
began = st.tuples(
    st.sampled_from(AUTH_IDS), st.sampled_from(LOCATIONS), st.lists(st.sampled_from(EVSES), unique=True), moments
)
pending_matches = st.builds(
    PendingMatch,
    command=st.just(CommandType.START_SESSION),
    uid=st.uuids().map(str),
    country_code=st.just("NL"),
    party_id=st.just("TNM"),
    auth_id=st.sampled_from(AUTH_IDS),
    location_id=st.sampled_from(LOCATIONS),
    evse_uid=st.none() | st.sampled_from(EVSES),
    since=moments,
    until=moments,
)
Began: TypeAlias = tuple[str, str, list[str], Any]


def session_of(facts: Began) -> Session:
    auth_id, location_id, uids, start = facts
    at = samples.location(location_id) | {"evses": [samples.evse(uid) for uid in uids]}
    return decode(Session, encode(samples.started_session("SES1", at=at, auth_id=auth_id, start=start)))


@given(st.lists(pending_matches, max_size=6), began)
def test_what_fits_is_said_by_token_location_evse_and_time(made: list[PendingMatch], facts: Began) -> None:
    auth_id, location_id, uids, start = facts
    expected = {
        each.uid
        for each in made
        if each.auth_id == auth_id
        and each.location_id == location_id
        and (each.evse_uid is None or uids == [] or each.evse_uid in uids)
        and each.since - timedelta(minutes=5) <= start <= each.until + timedelta(hours=1)
    }
    near = fitting(made, session_of(facts), LIMITS)
    assert {each.uid for each in near} == expected
    for better, worse in pairwise(near):
        assert (better.evse_uid in uids) >= (worse.evse_uid in uids)
        if (better.evse_uid in uids) == (worse.evse_uid in uids):
            assert abs(start - better.since) <= abs(start - worse.since)


@given(pending_matches)
def test_a_lookout_survives_the_journal(made: PendingMatch) -> None:
    assert {PendingMatch.of(each) for each in made.entries(NOW, "corr")} == {made}


Step: TypeAlias = tuple[str, Any]
steps = st.lists(
    st.one_of(
        st.tuples(st.just("start"), st.tuples(st.none() | st.sampled_from([E1, E2]), st.sampled_from(["1", "2"]))),
        st.tuples(st.just("session"), st.tuples(st.none() | st.sampled_from([E1, E2]), st.sampled_from(["1", "2"]))),
        st.tuples(st.just("result"), st.sampled_from(["ACCEPTED", "REJECTED"])),
        st.tuples(st.just("time"), st.integers(1, 120)),
    ),
    max_size=12,
)


@given(steps)
@example([("start", (None, "1")), ("session", (E1, "1")), ("session", (E1, "1"))])
@example([("start", (E1, "1")), ("time", 10), ("start", (None, "1")), ("session", (E1, "1")), ("session", (E2, "1"))])
@example([("start", (E1, "1")), ("result", "REJECTED"), ("session", (E1, "1"))])
def test_at_most_one_session_is_linked_to_a_command_and_all_of_it_fits(story: list[Step]) -> None:
    made = desk(listen=False)
    sent: list[SentCommand] = []
    sessions: dict[str, tuple[str | None, str, Any]] = {}
    for what, value in story:
        if what == "start":
            sent.append(made.start(value[0], f"IT-BEC-{value[1]}"))
        elif what == "session":
            name = f"SES{len(sessions)}"
            made.session(name, evse_uid=value[0], auth_id=f"IT-BEC-{value[1]}")
            sessions[name] = (value[0], f"IT-BEC-{value[1]}", made.cpo.clock.now())
        elif what == "result" and sent:
            made.result(sent[-1], value) if made.stored(sent[-1]).result is None else None
        elif what == "time":
            made.pass_time(minutes=value)
    commands = [made.stored(each) for each in sent]
    linked = [each for each in commands if each.session_id is not None]
    assert len({each.session_id for each in linked}) == len(linked)
    for command in linked:
        evse_uid, auth_id, start = sessions[command.session_id or ""]
        assert command.sent_at is not None
        assert command.deadline is not None
        assert command.auth_id == auth_id
        assert command.evse_uid is None or evse_uid in (None, command.evse_uid)
        assert command.sent_at <= start <= command.deadline + timedelta(hours=1)
    _none_is_left_out(commands, sessions, refused={each.uid for each in commands if each.result == "REJECTED"})


def _none_is_left_out(
    commands: list[SentCommand], sessions: dict[str, tuple[str | None, str, Any]], refused: set[str]
) -> None:
    """A session that could have been a waiting command's is linked to some command."""
    taken = {each.session_id for each in commands}
    for name, (evse_uid, auth_id, start) in sessions.items():
        for each in commands:
            assert each.sent_at is not None
            assert each.deadline is not None
            waits = each.session_id is None and each.uid not in refused
            fits = each.auth_id == auth_id and (each.evse_uid is None or evse_uid in (None, each.evse_uid))
            # one that was sent in the same moment may have been sent after the session had come
            in_time = each.sent_at < start <= each.deadline + timedelta(hours=1)
            assert name in taken or not (waits and fits and in_time)
