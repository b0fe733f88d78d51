"""What a partner said, and what stands in the end: an account of our own, from the text of the rules alone.

It shares no code with the library. The rules (docs/spec-choices.md rows 4, 5, 6 and 15):
- every part (location, EVSE, connector, session, tariff) is compared with what was said of that part before, by the
  newest time that the partner itself said of it; what is older changes nothing, of two of one time the later received
  one counts;
- what has no time of its own is as old as what it is in; where nothing around it has a time either, the order of
  receipt counts: it stands, and the newest time that the partner said before is what the next word is compared with;
- a part of one time in a word that is itself older was said before: it changes nothing;
- a whole object is what it says, a PATCH changes what it names; EVSEs and connectors are merged by their ids;
- an EVSE that a list leaves out is REMOVED, unless it was received since, of a later time than all in the list; it is
  back as listed once it is listed again, and as said once it is said again;
- a connector that its EVSE leaves out is gone, unless it was said later than all in the EVSE;
- COMPLETED and INVALID are final, but INVALID may follow COMPLETED.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any, TypeAlias

from attrs import define, evolve, field, frozen

Time: TypeAlias = int | None
Content: TypeAlias = Mapping[str, Any]


NEVER = -1
"""Before all times that are said."""


@frozen
class Word:
    """What is said of one part, and of the parts in it."""

    id: str
    time: Time
    content: Content
    parts: tuple[Word, ...] = ()

    def dated(self, time: Time) -> Word:
        """With this time, where it has none of its own."""
        return self if self.time is not None else evolve(self, time=time)


@define
class Part:
    """What stands of a part."""

    content: dict[str, Any] = field(factory=dict)
    time: Time = None
    received: int = 0
    parts: dict[str, Part] = field(factory=dict)
    left_out: bool = False
    """An EVSE that is REMOVED since a list left it out, and not by a word of its partner's."""

    def is_newer_than(self, time: Time) -> bool:
        """Whether what stands was said later than a word."""
        return time is not None and self.time is not None and time < self.time


def latest(times: Iterable[Time]) -> int:
    """The latest of the times that were said."""
    return max((each for each in times if each is not None), default=NEVER)


@define
class Account:
    """Everything that a partner said, word by word. A method is False where the answer is that it is not known."""

    said: dict[str, Part] = field(factory=dict)
    received: int = 0

    def single(self, word: Word, *, patches: bool) -> bool:
        """A session or tariff."""
        self.received += 1
        known = self.said.get(word.id)
        if known is None and patches:
            return False
        known = self.said.setdefault(word.id, Part())
        content = self._content(known, word, patches=patches)
        before, after = known.content.get("status"), content.get("status")
        may_follow = {"COMPLETED": ("COMPLETED", "INVALID"), "INVALID": ("INVALID",)}.get(str(before), (after,))
        if after in may_follow and not known.is_newer_than(word.time):
            self._say(known, word, content)
        return True

    def location(self, word: Word, *, patches: bool) -> bool:
        """A location, with the EVSEs that it names."""
        self.received += 1
        place = self.said.get(word.id)
        if place is None and patches:
            return False
        place = self.said.setdefault(word.id, Part())
        stays, known, before = place.is_newer_than(word.time), list(place.parts), place.received
        if not stays:
            self._say(place, word, self._content(place, word, patches=patches))
        words = [self._in(each, word, place, patches=patches) for each in word.parts]
        for each in words:
            self._evse(place, each, is_older=stays, patches=patches, is_listed=not patches)
        if not stays and not patches:
            self._leave_out(
                place, [uid for uid in known if uid not in {each.id for each in words}], word, words, before
            )
        return True

    def evse(self, location_id: str, word: Word, *, patches: bool) -> bool:
        """An EVSE by itself."""
        self.received += 1
        place = self.said.get(location_id)
        if place is None or (patches and word.id not in place.parts):
            return False
        self._evse(place, word, is_older=False, patches=patches)
        return True

    def connector(self, location_id: str, uid: str, word: Word, *, patches: bool) -> bool:
        """A connector by itself."""
        self.received += 1
        place = self.said.get(location_id)
        evse = None if place is None else place.parts.get(uid)
        if evse is None or (patches and word.id not in evse.parts):
            return False
        known = evse.parts.get(word.id, Part())
        if not known.is_newer_than(word.time):
            self._say_connector(evse, word, patches=patches)
        return True

    # --- parts ------------------------------------------------------------------------------------------------------

    def _content(self, part: Part, word: Word, *, patches: bool) -> dict[str, Any]:
        return {**(part.content if patches else {}), **word.content}

    def _say(self, part: Part, word: Word, content: dict[str, Any]) -> None:
        part.content, part.received = content, self.received
        part.time = part.time if word.time is None else word.time

    def _say_connector(self, evse: Part, word: Word, *, patches: bool) -> None:
        known = evse.parts.setdefault(word.id, Part())
        self._say(known, word, self._content(known, word, patches=patches))
        evse.received = self.received

    def _in(self, word: Word, around: Word, stored: Part, *, patches: bool) -> Word:
        """A part with the time of what it is in; what a PATCH without one adds has that of what it is added to."""
        is_added = patches and word.id not in stored.parts
        return word.dated(around.time).dated(stored.time if is_added else None)

    def _leave_out(self, place: Part, uids: list[str], word: Word, words: list[Word], before: int) -> None:
        moment = latest([word.time, *(each.time for each in words)])
        for evse in (place.parts[uid] for uid in uids):
            is_later = word.time is not None and evse.received > before and evse.is_newer_than(moment)
            if not is_later and evse.content["status"] != "REMOVED":
                evse.content["status"], evse.left_out, evse.received = "REMOVED", True, self.received

    def _evse(self, place: Part, word: Word, *, is_older: bool, patches: bool, is_listed: bool = False) -> None:
        """An EVSE; ``is_older``: so is the word that it is in."""
        evse = place.parts.get(word.id)
        if evse is None:
            evse = place.parts[word.id] = Part()
        is_said_before = is_older and word.time is not None and word.time == evse.time
        stays = evse.is_newer_than(word.time) or is_said_before
        if evse.left_out and is_listed and not is_older:
            stays = False
        words = [self._in(each, word, evse, patches=patches) for each in word.parts]
        if stays:
            self._newer_connectors(evse, words, patches=patches)
            return
        evse.left_out = evse.left_out and patches and "status" not in word.content
        self._say(evse, word, self._content(evse, word, patches=patches))
        if not patches:
            self._drop_connectors(evse, word, words)
        for each in words:
            if not evse.parts.get(each.id, Part()).is_newer_than(each.time):
                self._say_connector(evse, each, patches=patches)

    def _drop_connectors(self, evse: Part, word: Word, words: list[Word]) -> None:
        moment, listed = latest([word.time, *(each.time for each in words)]), {each.id for each in words}
        for connector_id in [each for each in evse.parts if each not in listed]:
            if word.time is None or not evse.parts[connector_id].is_newer_than(moment):
                del evse.parts[connector_id]

    def _newer_connectors(self, evse: Part, words: list[Word], *, patches: bool) -> None:
        """What an EVSE that is older says later of a connector."""
        moment = latest([evse.time, *(each.time for each in evse.parts.values())])
        for each in words:
            known = evse.parts.get(each.id)
            if latest([each.time]) > (moment if known is None else latest([known.time])):
                self._say_connector(evse, each, patches=patches)
