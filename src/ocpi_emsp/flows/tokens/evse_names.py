"""The names that a CPO uses for EVSEs in a request, and the EVSEs that they mean.

Rules of this module (mod_tokens.md 4.2; docs/spec-choices.md):
- a name is first read as a uid; otherwise as the evse_id of exactly one EVSE, ignoring separators and case; otherwise
  as the uid of exactly one EVSE, ignoring case;
- a name that several EVSEs may have means none of them;
- the response uses the CPO's own names, since it looks for those that it requested.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence

from ocpi_emsp.models import Evse
from ocpi_emsp.pricing.places import plain_evse_id


def uids_of(names: Iterable[str], evses: Sequence[Evse]) -> dict[str, str]:
    """Return the uid of each name that is not a uid and still means one EVSE."""
    there = {evse.uid for evse in evses}
    others = [name for name in dict.fromkeys(names) if name not in there]
    if not others:
        return {}
    by_evse_id = _alone(((evse.evse_id, evse.uid) for evse in evses if evse.evse_id), plain_evse_id)
    by_case = _alone(((evse.uid, evse.uid) for evse in evses), str.casefold)
    found = ((name, by_evse_id.get(plain_evse_id(name)) or by_case.get(name.casefold())) for name in others)
    return {name: uid for name, uid in found if uid is not None}


def _alone(names: Iterable[tuple[str, str]], spelled: Callable[[str], str]) -> Mapping[str, str]:
    """Return the uid of each spelling that exactly one EVSE has."""
    found = defaultdict[str, set[str]](set)
    for name, uid in names:
        found[spelled(name)].add(uid)
    return {name: next(iter(uids)) for name, uids in found.items() if len(uids) == 1}
