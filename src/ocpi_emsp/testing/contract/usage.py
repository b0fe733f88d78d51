"""The rules of usage: the amount that each owner stores. The bounds on partners depend on it."""

from __future__ import annotations

from collections.abc import Mapping

import pytest
from attrs import evolve

from ocpi_emsp.ports import AUTHORIZATION, EVENT, REJECTION, AnyStore, Entry, Kind, Owner, Transaction, Usage
from ocpi_emsp.testing.contract.tools import ContractTools, entry, session, token

_TNM, _ABC = ("NL", "TNM"), ("NL", "ABC")


def _of(entry_id: str, topic: str, owner: Owner, body: bytes) -> Entry:
    return entry(entry_id, topic, None, body=body, details={"country_code": owner[0], "party_id": owner[1]})


class UsageRules(ContractTools):
    """Records and entries, counted by owner."""

    def usage(self, store: AnyStore, name: str, owner: Owner | None = None) -> Mapping[Owner, Usage]:
        """Return the usage, read in its own transaction."""
        found: Mapping[Owner, Usage] = self.run(store, lambda tx: tx.usage(name, owner), read_only=True)
        return found

    def test_usage_is_the_number_and_the_bytes_of_an_owners_documents(self, store: AnyStore) -> None:
        assert self.usage(store, Kind.SESSION) == self.usage(store, Kind.SESSION, _TNM) == {}
        wide = '{"name":"Ü€\U0001f50c"}'.encode()
        self.put(store, evolve(session("S1"), document=wide), session("S2"), token("T1"), session("S3", party_id="ABC"))
        wanted = {_TNM: Usage(2, len(wide) + 2), _ABC: Usage(1, 2)}
        assert self.usage(store, Kind.SESSION) == wanted
        for owner in (_TNM, ("nl", "tnm")):
            assert self.usage(store, Kind.SESSION, owner) == {_TNM: wanted[_TNM]}
        assert self.usage(store, Kind.SESSION, ("DE", "TNM")) == self.usage(store, Kind.CDR) == {}
        self.put(store, evolve(session("S1"), document=b"{ }"))
        self.run(store, lambda tx: tx.delete(session("S2").key))
        assert self.usage(store, Kind.SESSION, _TNM) == {_TNM: Usage(1, 3)}

    def test_usage_counts_what_its_own_transaction_did(self, store: AnyStore) -> None:
        self.put(store, session("S1"), session("S2"))
        self.append(store, _of("1", EVENT, _TNM, b""), _of("2", EVENT, _TNM, b""))

        async def work(tx: Transaction) -> None:
            await tx.put(evolve(session("S1"), document=b"[1]"))
            await tx.put(session("S3"))
            await tx.delete(session("S2").key)
            assert await tx.usage(Kind.SESSION) == {_TNM: Usage(2, 5)}
            await tx.settle("1")
            assert {owner: each.count for owner, each in (await tx.usage(EVENT)).items()} == {_TNM: 1}

        self.run(store, work)

    @pytest.mark.parametrize("topic", [EVENT, REJECTION, AUTHORIZATION])
    def test_usage_of_a_topic_has_bodies_and_details(self, store: AnyStore, topic: str) -> None:
        body = b"\xff\x00" * 1000
        first, second, other = _of("1", topic, _TNM, body), _of("2", topic, _TNM, b""), _of("3", topic, _ABC, body)
        second = evolve(second, details={**second.details, "path": "x" * 3000})
        without_owner = entry("4", topic, None)
        elsewhere = _of("5", EVENT if topic != EVENT else REJECTION, _TNM, body)
        self.append(store, first, second, other, without_owner, elsewhere)
        found = self.usage(store, topic)
        assert {owner: each.count for owner, each in found.items()} == {_TNM: 2, _ABC: 1}
        for owner, entries in ((_TNM, (first, second)), (_ABC, (other,))):
            # How details are written as JSON is a store's own choice.
            assert abs(found[owner].bytes - sum(each.size for each in entries)) < 100
        assert self.usage(store, topic, ("nl", "abc")) == {_ABC: found[_ABC]}
        assert self.usage(store, topic, ("DE", "TNM")) == {}
