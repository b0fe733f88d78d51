"""The contract finds what is wrong with a store: each way to break one fails the test that is named after the rule."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from datetime import timedelta
from typing import Any

import pytest
from attrs import evolve
from hypothesis import Phase

from ocpi_emsp.errors import InvalidObject
from ocpi_emsp.ports import AUTHORIZATION, DEADLINE, EVENT, FAN_OUT, NAMES, REJECTION, START, Key, Kind, Record, Store
from ocpi_emsp.storage import MemoryStore
from ocpi_emsp.testing.contract import (
    LOCATION,
    AnnouncingContract,
    ConcurrencyContract,
    PartyWatchContract,
    StoreContract,
    announcing,
)
from ocpi_emsp.testing.contract.machine import compare
from ocpi_emsp.testing.contract.partners import Partner
from ocpi_emsp.testing.contract.party_watch import CREDENTIAL, PARTY
from store import broken as b
from store.broken import AlteredStore, SeparateStore

Case = tuple[str, tuple[Any, ...], Callable[[], Store]]


def case(rule: str, *args: Any, **replaced: Any) -> Case:
    return rule, args, lambda: AlteredStore(replaced)


def commits(rule: str, *args: Any) -> Case:
    return rule, args, lambda: AlteredStore({}, commits_always=True)


def separate(rule: str, *args: Any) -> Case:
    return rule, args, SeparateStore


FINDS = (AssertionError, pytest.fail.Exception)
"""The second is what `pytest.raises` fails with."""

BROKEN: list[Case] = [
    case("what_was_put_is_got", put=b.nothing),
    case("every_kind_is_kept_listed_and_deleted", Kind.TARIFF, page=b.page_of_any_kind),
    case("keys_that_differ_in_any_part_are_two_records", LOCATION._replace(id="loc1"),
         get=b.get_without_case, put=b.put_without_case),
    case("keys_that_differ_in_their_parent_are_two_records", Kind.TOKEN,
         put=b.put_with(lambda record: record if record.key.kind == Kind.LOCATION else
                        evolve(record, key=record.key._replace(parent="P")))),
    case("keys_that_differ_in_their_parent_are_two_records", Kind.PUSHED,
         put=b.put_with(lambda record: record if record.key.kind == Kind.LOCATION else
                        evolve(record, key=record.key._replace(parent="P")))),
    case("what_a_party_has_of_a_token_is_kept_by_uid_and_type",
         put=b.put_with(lambda record: evolve(record, key=record.key._replace(parent="")))),
    case("what_a_party_has_of_a_token_is_kept_by_uid_and_type", page=b.page_of(party_id=None)),
    case("what_a_party_has_of_a_token_is_kept_by_uid_and_type", page=b.page_of(kind=Kind.TOKEN)),
    case("what_a_party_has_of_a_token_is_kept_by_uid_and_type", put=b.put_at_the_end),
    *(case("what_is_missing_is_so_until_it_is_put_again", kind, put=b.put_that_keeps_missing) for kind in NAMES),
    case("what_is_missing_is_so_until_it_is_put_again", Kind.SESSION, put=b.put_with(b.without(missing_since=None))),
    case("what_is_missing_is_so_until_it_is_put_again", Kind.EVSE, put=b.put_with(b.without(missed=0))),
    case("what_is_missing_is_so_until_it_is_put_again", Kind.CDR, put=b.put_unless_unchanged),
    case("what_is_missing_is_so_with_a_new_document_too", LOCATION, put=b.put_that_keeps_missing),
    case("what_is_missing_is_so_with_a_new_document_too", LOCATION, put=b.put_with(b.without(missed=0))),
    case("children_and_pages_say_what_is_missing", children=b.children_listed),
    case("children_and_pages_say_what_is_missing", page=b.page_listed),
    *(case("what_a_change_came_under_is_kept_with_it", kind, put=b.put_with(b.without(correlation_id="")))
      for kind in NAMES),
    case("what_a_change_came_under_is_kept_with_it", Kind.SESSION, put=b.put_that_keeps_the_first_correlation),
    case("what_a_change_came_under_is_kept_with_it", Kind.COMMAND, put=b.put_unless_unchanged),
    case("children_and_pages_say_what_a_change_came_under", children=b.children_of_no_correlation),
    case("children_and_pages_say_what_a_change_came_under", page=b.page_of_no_correlation),
    *(case("when_a_tariff_and_its_versions_hold_is_kept", put=b.put_with(b.without(**{name: None})))
      for name in ("valid_from", "first_received_at", "valid_until")),
    case("when_a_tariff_and_its_versions_hold_is_kept", put=b.put_unless_unchanged),
    case("when_a_tariff_and_its_versions_hold_is_kept", page=b.page_that_holds_always),
    case("a_page_selects_what_held_at_a_moment", page=b.page_of(at=None)),
    case("a_page_selects_what_held_at_a_moment", page=b.page_at(timedelta(microseconds=1))),
    case("a_page_selects_what_held_at_a_moment", page=b.page_at(-timedelta(microseconds=1))),
    case("a_page_selects_what_held_at_a_moment", put=b.put_with(b.without(valid_from=None))),
    case("an_owner_compares_without_case_and_is_kept_in_upper_case", get=b.get_with_case),
    case("revisions_count_the_puts", get=b.get_first_revision),
    case("revisions_count_the_puts", put=b.put_at_the_end),
    case("sequences_grow_and_stay", page=b.page_renumbered),
    case("sequences_grow_and_stay", put=b.put_at_the_end),
    case("what_was_deleted_is_gone", delete=b.nothing),
    case("what_one_transaction_deletes_and_puts_is_new", delete=b.nothing),
    case("a_document_of_a_megabyte_is_kept", put=b.put_with(b.reformatted)),
    case("decimals_are_kept_to_the_last_digit", "0.10", put=b.put_with(b.reformatted)),
    case("decimals_are_kept_to_the_last_digit", "123456789012345678901234567890.123456789",
         put=b.put_with(b.reformatted)),
    case("an_extreme_document_is_kept_as_it_is_or_refused", b'{"price":1e-400}', put=b.put_with(b.reformatted)),
    case("an_extreme_document_is_kept_as_it_is_or_refused", b'{"a":1,"a":2}', put=b.put_with(b.reformatted)),
    case("a_hard_key_is_kept_as_it_is_or_refused", "X" * 10_000, put=b.put_with(b.shortened)),
    case("a_hard_key_is_kept_as_it_is_or_refused", "a\x00b", put=b.put_with(b.shortened)),
    case("a_moment_far_away_is_kept_as_it_is_or_refused", 9999, put=b.put_with(b.in_whole_seconds)),
    case("children_are_the_evses_of_one_location_oldest_first", children=b.children_of_any_party),
    case("children_are_the_evses_of_one_location_oldest_first", children=b.children_sorted),
    case("a_replaced_child_keeps_its_place", put=b.put_at_the_end),
    case("a_location_goes_with_its_evses", delete=b.delete_location_only),
    case("a_location_that_goes_while_an_evse_comes_is_refused", delete=b.delete_location_only),
    case("an_evse_without_its_location_is_refused_and_nothing_is_kept", put=b.put_with_location),
    case("a_replaced_record_keeps_its_place", put=b.put_at_the_end),
    case("a_page_has_one_kind_oldest_first_and_the_total", page=b.page_by_time),
    case("a_page_has_one_kind_oldest_first_and_the_total", page=b.page_without_total),
    case("a_total_that_nobody_wants_is_zero", page=b.page_of(count=True)),
    case("a_page_selects_by_owner", page=b.page_of(party_id=None)),
    case("a_page_selects_by_owner", page=b.page_of(country_code=None)),
    case("a_page_selects_from_date_from_inclusive_to_date_to_exclusive", page=b.page_of(date_to=None)),
    *(case("a_page_selects_from_received_from_inclusive_to_received_to_exclusive", page=page) for page in [
        b.page_of(received_from=None), b.page_of(received_to=None), b.page_by_receipt, b.page_with_both_ends,
        b.page_without_start, b.page_of_whole_seconds, b.page_by_updates]),
    case("a_page_selects_from_received_from_inclusive_to_received_to_exclusive", put=b.put_unless_unchanged),
    *(case("what_was_received_is_selected_with_everything_else", page=page) for page in [
        b.page_of(received_from=None), b.page_of(received_to=None), b.page_of(date_from=None), b.page_of(after=0),
        b.page_of(country_code=None), b.page_of(party_id=None), b.page_of(offset=0), b.page_of(count=True),
        b.page_without_total, b.page_by_receipt]),
    case("tokens_are_selected_by_when_they_were_received", page=b.page_by_place),
    case("a_page_of_what_was_received_is_read_inside_a_transaction", put=b.put_at_the_end),
    *(case("a_page_selects_by_driver_location_and_start", page=b.page_of(**{name: None}))
      for name in ("auth_id", "location_id", "start_from", "start_to")),
    *(case("sessions_are_selected_by_driver_and_start", page=b.page_of(**{name: None}))
      for name in ("auth_id", "location_id", "start_from", "start_to")),
    case("what_changes_or_goes_is_selected_by_what_it_is_now", delete=b.nothing),
    case("tokens_are_selected_by_their_auth_id", page=b.page_of(auth_id=None)),
    case("fractions_of_a_second_count", put=b.put_with(b.in_whole_seconds)),
    case("pages_are_stable_while_records_are_added_and_changed", page=b.page_by_time),
    case("a_page_goes_on_after_a_record", page=b.page_of(after=0)),
    case("reading_on_gives_everything_once_while_records_change", page=b.page_of(after=0)),
    case("reading_on_gives_everything_once_while_records_change", put=b.put_at_the_end),
    case("tokens_of_an_owner_are_paged_at_any_offset", page=b.page_of(offset=0)),
    case("tokens_of_an_owner_are_paged_at_any_offset", page=b.page_with_gaps),
    case("pages_have_no_gap_where_tokens_were_deleted", ["T3", "T4"], page=b.page_with_gaps),
    case("an_entry_is_kept_as_it_was_appended", append=b.append_text),
    case("a_moment_in_an_entry_is_kept_to_the_microsecond", append=b.append_in_whole_seconds),
    case("an_entry_is_found_by_its_id", entry=b.entry_unless_refused),
    case("entries_are_given_oldest_first_by_topic_and_key", entries=b.entries_without(key=None)),
    case("entries_are_given_oldest_first_by_topic_and_key", entries=b.entries_without(limit=1000)),
    case("entries_are_given_by_owner", entries=b.entries_without(owner=None)),
    case("entries_go_on_after_a_sequence", entries=b.entries_without(after=0)),
    case("an_entry_with_the_same_id_is_replaced_in_its_place", append=b.append_at_the_end),
    case("a_wish_for_a_resync_is_one_entry_however_often_it_comes", append=b.append_at_the_end_where_it_waits),
    case("a_wish_for_a_resync_is_one_entry_however_often_it_comes", append=b.append_a_wish_once),
    case("a_wish_for_a_resync_is_one_entry_however_often_it_comes", append=b.append_wishes_as_events),
    *(case("every_topic_is_kept_apart_and_each_id_once", topic, append=b.append_new_topics_as_events)
      for topic in (DEADLINE, START, FAN_OUT, AUTHORIZATION)),
    case("every_topic_is_kept_apart_and_each_id_once", DEADLINE, append=b.append_at_the_end),
    case("every_topic_is_kept_apart_and_each_id_once", AUTHORIZATION, settle=b.settle_in_the_journal),
    case("an_entry_moves_to_another_topic", append=b.append_where_it_was),
    case("an_entry_moves_to_another_topic", append=b.append_at_the_end),
    case("a_settled_entry_is_gone", settle=b.nothing),
    case("usage_is_the_number_and_the_bytes_of_an_owners_documents",
         usage=b.usage_that(lambda owner, each: (owner, evolve(each, bytes=each.bytes - 1)))),
    case("usage_is_the_number_and_the_bytes_of_an_owners_documents",
         usage=b.usage_that(lambda owner, each: (owner, each), of_all=True)),
    case("usage_counts_what_its_own_transaction_did", usage=b.usage_of_what_is_committed),
    case("usage_of_a_topic_has_bodies_and_details", EVENT,
         usage=b.usage_that(lambda owner, each: (owner, evolve(each, bytes=each.bytes // 2)))),
    case("usage_of_a_topic_has_bodies_and_details", REJECTION,
         usage=b.usage_that(lambda owner, each: (owner, each), of_all=True)),
    case("what_is_read_can_be_recorded_at_once", append=b.nothing),
    case("what_may_be_repeated_is_done_as_a_whole", put=b.nothing),
    case("what_may_be_repeated_is_done_as_a_whole", append=b.nothing),
    commits("what_may_be_repeated_is_done_as_a_whole"),
    commits("a_transaction_that_raises_leaves_nothing"),
    commits("what_is_not_committed_is_seen_by_nobody"),
    separate("a_transaction_that_raises_leaves_nothing"),
    separate("a_reader_sees_what_is_committed_and_ends"),
    separate("what_is_not_committed_is_seen_by_nobody"),
    separate("one_that_raises_does_not_disturb_the_others"),
]  # fmt: skip


@pytest.mark.parametrize("broken", BROKEN, ids=[f"{number} {rule}" for number, (rule, *_) in enumerate(BROKEN)])
def test_the_contract_finds_it(broken: Case) -> None:
    rule, args, store = broken
    with pytest.raises(FINDS):
        getattr(StoreContract(), f"test_{rule}")(store(), *args)


def test_an_unbroken_store_passes_the_same_tests() -> None:
    for rule, args, _ in BROKEN:
        getattr(StoreContract(), f"test_{rule}")(AlteredStore({}), *args)


@pytest.mark.parametrize("write", range(4))
def test_the_contract_finds_a_read_only_transaction_that_writes(write: int) -> None:
    with pytest.raises(pytest.fail.Exception, match="DID NOT RAISE"):
        StoreContract().test_a_read_only_transaction_cannot_write(AlteredStore({}, writes_always=True), write)


def test_the_contract_finds_a_rollback_that_is_none() -> None:
    with pytest.raises(pytest.fail.Exception, match="DID NOT RAISE"):
        StoreContract().test_a_rollback_in_the_middle_leaves_nothing(AlteredStore({"put": b.put_with_location}))


@pytest.mark.parametrize(
    "rule", ["transactions_that_change_one_record_lose_nothing", "a_record_that_is_not_there_yet_is_locked_too"]
)
def test_the_contract_finds_transactions_that_lock_nothing(rule: str) -> None:
    class InOneLoop(StoreContract):  # where every operation gives way, none is missed by chance
        one_loop = True

    contract = InOneLoop()
    with contract.loop(), pytest.raises(AssertionError):
        getattr(contract, f"test_{rule}")(SeparateStore())


TELLING: list[tuple[str, Callable[[], b.Telling]]] = [
    ("a_command_is_announced_to_every_listener", lambda: b.telling_of(Kind.COMMAND, alone=True)),
    ("nothing_else_is_announced", lambda: b.telling_of(*NAMES)),
    ("what_is_rolled_back_is_not_announced", lambda: b.telling_of(Kind.COMMAND)),
    ("who_ended_hears_nothing_more", lambda: b.telling_of(Kind.COMMAND, ends=False)),
]


@pytest.mark.parametrize(("rule", "store"), TELLING, ids=[rule for rule, _ in TELLING])
def test_the_contract_finds_announcements_that_are_wrong(
    rule: str, store: Callable[[], b.Telling], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(announcing, "SECONDS", 1.0)  # what is not said is not said later
    telling = store()
    with pytest.raises(AssertionError):
        getattr(AnnouncingContract(), f"test_{rule}")(telling, telling)


class Blind(MemoryStore):
    """Sees no change of some kinds."""

    def __init__(self, *kinds: str) -> None:
        super().__init__()
        self.kinds = kinds

    def is_unchanged(self, watched: object, read: Iterable[tuple[Key, Record | None]]) -> bool:
        unseen = [key.kind in self.kinds and found == self._records[key.kind].get(key) for key, found in read]
        return any(unseen) or super().is_unchanged(watched, read)


class Unsure(MemoryStore):
    """Never knows that something is unchanged."""

    def is_unchanged(self, watched: object, read: Iterable[tuple[Key, Record | None]]) -> bool:
        return super().is_unchanged(watched, read) and not list(read)


class Late(MemoryStore):
    """Compares with the moment of the look, not with the one before the read."""

    def is_unchanged(self, watched: object, read: Iterable[tuple[Key, Record | None]]) -> bool:
        return watched is not None and bool(list(read))


WATCHING: list[tuple[str, tuple[str, ...], Callable[[], MemoryStore]]] = [
    ("what_nobody_changed_is_unchanged", (), Unsure),
    ("a_change_of_this_process_counts_at_once", (Kind.PARTY,), lambda: Blind(Kind.CREDENTIAL)),
    ("a_deletion_of_this_process_counts_at_once", (Kind.CREDENTIAL,), lambda: Blind(Kind.PARTY)),
    ("a_change_of_another_counts", (Kind.CREDENTIAL,), lambda: Blind(Kind.PARTY)),
    ("a_deletion_of_another_counts", (Kind.PARTY,), lambda: Blind(Kind.CREDENTIAL)),
    ("what_was_deleted_and_put_again_is_another", (), Late),
    ("what_was_missing_and_is_there_is_a_change", (), lambda: Blind(Kind.PARTY)),
    ("what_is_rolled_back_changes_nothing", (), Unsure),
    ("what_changed_while_it_was_read_is_not_unchanged", (), Late),
    ("what_is_read_after_a_change_is_unchanged", (), Unsure),
]


@pytest.mark.parametrize(("rule", "kinds", "store"), WATCHING, ids=[rule for rule, _, _ in WATCHING])
def test_the_contract_finds_a_watch_that_is_wrong(
    rule: str, kinds: tuple[str, ...], store: Callable[[], MemoryStore]
) -> None:
    watching = store()
    keys = [{Kind.PARTY: PARTY, Kind.CREDENTIAL: CREDENTIAL}[kind] for kind in kinds]
    with pytest.raises(AssertionError):
        getattr(PartyWatchContract(), f"test_{rule}")(watching, watching, *keys)


# --- any sequence of operations -------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "replaced",
    [
        {"put": b.put_at_the_end},
        {"get": b.get_with_case},
        {"children": b.children_sorted},
        {"page": b.page_by_time},
        {"page": b.page_of(after=0)},
        {"page": b.page_of(received_from=None)},
        {"page": b.page_of(received_to=None)},
        {"put": b.put_that_keeps_missing},
        {"put": b.put_that_keeps_the_first_correlation},
        {"children": b.children_listed},
        {"append": b.append_at_the_end},
        {"entries": b.entries_without(owner=None)},
        {"append": b.append_where_it_was},
    ],
    ids=lambda replaced: next(iter(replaced)),
)
def test_the_model_finds_it(replaced: b.Replaced) -> None:
    finds(AlteredStore(replaced))


def finds(store: Store, *errors: type[Exception]) -> None:
    contract = StoreContract()
    with pytest.raises((*FINDS, *errors)):
        compare(contract, store, examples=contract.examples, steps=contract.steps, phases=[Phase.generate])


def test_the_model_finds_what_was_not_rolled_back() -> None:
    finds(AlteredStore({}, commits_always=True), InvalidObject)  # where an EVSE of it has no location


# --- many requests at once ------------------------------------------------------------------------------------------


class InTasks(ConcurrencyContract):
    """A store whose every operation gives way to the other tasks."""

    mode = "async"
    patches = 1000


def test_the_contract_finds_updates_that_are_lost() -> None:
    store = SeparateStore()
    contract = InTasks()
    with pytest.raises(AssertionError):
        contract.test_evses_patched_at_random_end_with_the_newest_update_of_each(
            store, Partner.of(contract, store).register()
        )


def test_the_contract_finds_a_cdr_that_is_stored_twice() -> None:
    store = SeparateStore()
    contract = InTasks()
    with pytest.raises(AssertionError):
        contract.test_one_cdr_posted_many_times_at_once_is_stored_once_and_answered_alike(
            store, Partner.of(contract, store).register()
        )


def test_the_contract_finds_a_session_that_is_active_again() -> None:
    contract = InTasks()
    with pytest.raises(AssertionError):
        contract.test_a_session_that_is_completed_stays_so(Partner.of(contract, SeparateStore()).register())


def test_the_contract_finds_a_token_too_many() -> None:
    contract = InTasks()
    with pytest.raises(AssertionError):
        contract.test_handshakes_of_one_party_at_once_leave_one_valid_token(Partner.of(contract, SeparateStore()), 8)
