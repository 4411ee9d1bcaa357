"""The turns of a call: who said what and when. A turn is recorded when it ends.

Times are seconds of the bridge's clock, and in the record milliseconds since the stream started.
"""

from collections.abc import Iterator
from dataclasses import dataclass, field, replace

from media_bridge.commands import RecordTurn, ReviseTurn
from media_bridge.speech import word_alignment
from media_bridge.speech.item_words import ItemWords
from media_bridge.speech.playout import ItemPlayed, ItemTruncated
from phonebridge.call.turn import Latency, Speaker, Turn

MAX_REVISABLE = 16
"""Maximum number of recorded turns that may still be revised."""

CARRIED_ITEM = "carried-over"
"""Replaces the item of a turn until the next session names it."""

Record = RecordTurn | ReviseTurn


@dataclass(slots=True)
class _Turn:
    number: int
    who: Speaker
    started: float
    words: ItemWords
    response_id: str = ""
    is_stopped: bool = False
    """True once the detector saw the end of the caller's speech."""
    ended: float | None = None
    latency: Latency | None = None
    cut: ItemTruncated | None = None
    """The place at which the turn was interrupted."""
    recorded: Turn | None = None
    known_text: str = ""
    """The words that were known when it was recorded."""


@dataclass(frozen=True, slots=True)
class OpenTurn:
    """A turn that is not on record yet, with the words known so far."""

    number: int
    who: Speaker
    text: str
    latency: Latency | None


@dataclass(slots=True)
class Transcript:
    """Numbers turns in the order in which they began, and records them when they are complete. The
    caller's words may be known long after the agent has answered them. Words that arrive later
    revise the record."""

    stream_started: float = 0.0
    count: int = 0
    latencies_ms: list[int] = field(default_factory=list)
    is_closing: bool = False
    """True if the call is over. Words that are not final may stay so."""
    _speaking_rate: float = word_alignment.DEFAULT_SPEAKING_RATE
    _open: dict[str, _Turn] = field(default_factory=dict)
    _recorded: dict[str, _Turn] = field(default_factory=dict)
    _words_ahead: dict[str, ItemWords] = field(default_factory=dict)

    @property
    def owes_words(self) -> bool:
        """Whether the model still owes a transcript. Keys have none."""
        known = (*self._open.values(), *self._recorded.values())
        return any(not (turn.words.is_over or turn.words.is_final) for turn in known)

    def open_turns(self) -> Iterator[OpenTurn]:
        """The turns that have not ended, or lack words."""
        for turn in self._open.values():
            yield OpenTurn(turn.number, turn.who, turn.words.text, turn.latency)

    # The caller.

    def caller_started(self, item_id: str, now: float) -> None:
        if carried := self._open.pop(CARRIED_ITEM, None):
            self._open[item_id] = carried
            carried.ended, carried.words = None, self._words_ahead.pop(item_id, ItemWords())
        else:
            self._begin(item_id, Speaker.CALLER, now)

    def caller_stopped(self, item_id: str, at: float) -> None:
        if turn := self._open.get(item_id):
            turn.ended = max(at, turn.started)
        if turn := turn or self._recorded.get(item_id):
            turn.is_stopped = True

    def caller_committed(self, item_id: str) -> None:
        """Note the item of a turn. A turn may turn out to have another id if it began without one,
        or if its item was committed before the detector saw the end."""
        if self.has_begun(item_id):
            return
        for turns in (self._open, self._recorded):
            for known_as, turn in reversed(turns.items()):
                awaits_item = not turn.is_stopped or not known_as
                if turn.who is Speaker.CALLER and awaits_item and not turn.words.is_over:
                    turns[item_id] = turns.pop(known_as)
                    return

    def nothing_committed(self) -> None:
        """Expect no transcript, because the caller's speech was too short for an item."""
        for turn in (*self._open.values(), *self._recorded.values()):
            if turn.who is Speaker.CALLER and not turn.is_stopped:
                turn.words.is_over = True

    def caller_words(self, item_id: str, piece: str, content_index: int) -> None:
        self._words(item_id).add(piece, content_index)

    def caller_said(self, item_id: str, text: str) -> list[Record]:
        """Take a complete transcript. If it is empty, no words but those of its pieces will be
        known."""
        self._words_ahead.pop(item_id, None)
        turn = self._open.get(item_id) or self._recorded.get(item_id)
        if turn is None:
            return []
        turn.words.finish(text)
        turn.words.is_over = True
        return [*self._record(item_id)]

    # The agent.

    def agent_started(self, item_id: str, now: float, response_id: str = "") -> None:
        self._begin(item_id, Speaker.AGENT, now).response_id = response_id

    def agent_answered(self, item_id: str, latency: Latency) -> None:
        """Note that the first sound of the answer left for the caller."""
        self.latencies_ms.append(latency.total_ms)
        if turn := self._open.get(item_id):
            turn.latency = latency

    def has_turn_of(self, response_id: str) -> bool:
        known = (*self._open.values(), *self._recorded.values())
        return any(turn.response_id == response_id for turn in known)

    def has_begun(self, item_id: str) -> bool:
        return item_id in self._open or item_id in self._recorded

    def agent_said(self, item_id: str, piece: str, content_index: int = 0) -> None:
        self._words(item_id).add(piece, content_index)

    def agent_transcribed(
        self, item_id: str, text: str, content_index: int | None = None
    ) -> list[Record]:
        """Take all words of an item, or of one part of it."""
        self._words(item_id).finish(text, content_index)
        return [*self._revise(item_id)]

    def response_ended(self, response_id: str) -> list[Record]:
        """Note that the items of the response get no more words."""
        ended = [
            item_id
            for item_id, turn in (*self._open.items(), *self._recorded.items())
            if turn.who is Speaker.AGENT and turn.response_id == response_id
        ]
        for item_id in ended:
            self._words(item_id).is_over = True
        return [record for item_id in ended for record in self._revise(item_id)]

    def agent_finished(self, played: ItemPlayed) -> list[Record]:
        """Record an item that was played completely."""
        item = played.item
        turn = self._open.get(item.item_id)
        if turn is None:
            return []
        self._speaking_rate = (
            word_alignment.speaking_rate(turn.words.text, item.loudness.steps)
            or self._speaking_rate
        )
        turn.ended = max(played.at, turn.started)
        return [*self._record(item.item_id)]

    def agent_interrupted(self, cut: ItemTruncated, now: float) -> list[Record]:
        """Record an item that was interrupted. The text of the turn is the part that was played."""
        item_id = cut.item.item_id
        self._words_ahead.pop(item_id, None)
        turn = self._open.get(item_id)
        if turn is None:
            return []
        turn.ended, turn.cut = now, cut
        return [*self._record(item_id)]

    # The end.

    def lose_session(self, speaking_item: str | None, now: float) -> list[Record]:
        """Expect no more words from the lost session. Speech that goes on is one turn with the
        words that the next session hears of it, unless some of its words are known already."""
        spoken = self._open.pop(speaking_item, None) if speaking_item is not None else None
        if spoken:
            carried = f"{CARRIED_ITEM}-{spoken.number}" if spoken.words.text else CARRIED_ITEM
            self._open[carried], spoken.ended = spoken, now
        for turn in (*self._open.values(), *self._recorded.values()):
            turn.words.is_over = True
        self._words_ahead.clear()
        over = [
            item_id
            for item_id, turn in self._open.items()
            if turn.who is Speaker.CALLER and item_id != CARRIED_ITEM
        ]
        for item_id in over:
            turn = self._open[item_id]
            turn.ended = now if turn.ended is None else turn.ended
        return [record for item_id in over for record in self._record(item_id)]

    def close(self, now: float) -> list[Record]:
        """End all open turns with the words known so far, because the call is over."""
        self.is_closing = True
        for turn in self._open.values():
            turn.ended = now if turn.ended is None else turn.ended
        return [record for item_id in list(self._open) for record in self._record(item_id)]

    def give_up(self, now: float) -> list[Record]:
        """Give up waiting for words, and record the known ones."""
        revised = [record for item_id in self._recorded for record in self._revise(item_id)]
        return [*revised, *self.close(now)]

    def _begin(self, item_id: str, who: Speaker, now: float) -> _Turn:
        if item_id not in self._open:
            self.count += 1
            words = self._words_ahead.pop(item_id, None) or ItemWords()
            self._open[item_id] = _Turn(self.count, who, now, words)
        return self._open[item_id]

    def _words(self, item_id: str) -> ItemWords:
        if turn := self._open.get(item_id) or self._recorded.get(item_id):
            return turn.words
        return self._words_ahead.setdefault(item_id, ItemWords())

    def _record(self, item_id: str) -> Iterator[Record]:
        """Record a turn that has ended, or revise one that is on record."""
        turn = self._open.pop(item_id, None)
        if turn is None:
            yield from self._revise(item_id)
            return
        turn.recorded = self._as_recorded(turn)
        self._recorded[item_id] = turn
        if len(self._recorded) > MAX_REVISABLE:
            del self._recorded[next(iter(self._recorded))]
        yield RecordTurn(turn.recorded)

    def _revise(self, item_id: str) -> Iterator[Record]:
        turn = self._recorded.get(item_id)
        if turn is None or turn.recorded is None:
            return
        if turn.words.text == turn.known_text and turn.recorded.partial == self._is_partial(turn):
            return
        revised = self._as_recorded(turn)
        if revised != turn.recorded:
            turn.recorded = revised
            yield ReviseTurn(revised)

    def _as_recorded(self, turn: _Turn) -> Turn:
        turn.known_text = turn.words.text
        ended = turn.started if turn.ended is None else turn.ended
        record = Turn(
            number=turn.number,
            who=turn.who,
            text=turn.known_text,
            started_ms=self._since_start_ms(turn.started),
            ended_ms=self._since_start_ms(ended),
            latency=turn.latency,
            partial=self._is_partial(turn),
        )
        if turn.cut is None:
            return record
        item = turn.cut.item
        is_whole = item.finished and not item.is_broken
        pace = None if is_whole else self._speaking_rate
        steps = item.loudness.steps
        text, unheard = word_alignment.split_at(record.text, steps, turn.cut.played_ms, pace)
        return replace(record, text=text, unheard=unheard, interrupted=True)

    def _is_partial(self, turn: _Turn) -> bool:
        """Return whether words may be missing. While the agent speaks, that is no news."""
        if not turn.words.text or turn.words.is_final:
            return False
        if turn.who is Speaker.CALLER:
            return True
        return self.is_closing and not turn.words.is_over

    def _since_start_ms(self, at: float) -> int:
        return max(0, round((at - self.stream_started) * 1000))
