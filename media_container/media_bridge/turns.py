"""Who said what and when: the turns of a call, ready to be recorded when they end.

Seconds of the bridge's clock come in; milliseconds since the start of the media stream go out.
"""

from collections.abc import Iterable
from dataclasses import dataclass, field, replace

from media_bridge import heard_words
from media_bridge.playout import Cut, Heard
from phonebridge.turn import Latency, Speaker, Turn


@dataclass(slots=True)
class _OpenTurn:
    number: int
    who: Speaker
    started: float
    ended: float | None = None
    latency: Latency | None = None
    words: list[str] = field(default_factory=list)

    @property
    def text(self) -> str:
        return "".join(self.words).strip()


@dataclass(slots=True)
class Turns:
    """Turns are numbered in the order in which they began and recorded in the order in which they
    became whole: the caller's words may be known long after the agent has answered them."""

    stream_started: float = 0.0
    count: int = 0
    latencies_ms: list[int] = field(default_factory=list)
    _pace: float = heard_words.USUAL_PACE
    _open: dict[str, _OpenTurn] = field(default_factory=dict)
    _words_ahead: dict[str, list[str]] = field(default_factory=dict)

    def caller_started(self, item_id: str, now: float) -> None:
        self._begin(item_id, Speaker.CALLER, now)

    def caller_stopped(self, item_id: str, at: float) -> None:
        if turn := self._open.get(item_id):
            turn.ended = max(at, turn.started)

    def caller_said(self, item_id: str, text: str) -> Iterable[Turn]:
        turn = self._open.pop(item_id, None)
        if turn is None:
            return ()
        turn.words = [text]
        return (self._closed(turn, turn.ended if turn.ended is not None else turn.started),)

    def agent_started(self, item_id: str, now: float) -> None:
        turn = self._begin(item_id, Speaker.AGENT, now)
        turn.words = self._words_ahead.pop(item_id, [])

    def agent_answered(self, item_id: str, latency: Latency) -> None:
        """The first sound of the answer left for the caller."""
        self.latencies_ms.append(latency.total_ms)
        if turn := self._open.get(item_id):
            turn.latency = latency

    def agent_said(self, item_id: str, words: str) -> None:
        turn = self._open.get(item_id)
        (turn.words if turn else self._words_ahead.setdefault(item_id, [])).append(words)

    def agent_heard(self, heard: Heard) -> Iterable[Turn]:
        """The caller heard the item to its end."""
        turn = self._open.pop(heard.item.item_id, None)
        if turn is None:
            return ()
        self._pace = heard_words.pace(turn.text, heard.item.loudness.steps) or self._pace
        return (self._closed(turn, max(heard.at, turn.started)),)

    def agent_cut(self, cut: Cut, now: float) -> Iterable[Turn]:
        """The item was stopped: its text is what was heard."""
        self._words_ahead.pop(cut.item.item_id, None)
        turn = self._open.pop(cut.item.item_id, None)
        if turn is None:
            return ()
        pace = None if cut.item.finished else self._pace
        text, unheard = heard_words.split(turn.text, cut.item.loudness.steps, cut.heard_ms, pace)
        closed = self._closed(turn, now)
        return (replace(closed, text=text, unheard=unheard, interrupted=True),)

    def close(self, now: float) -> list[Turn]:
        """The call is over: whatever is still open ends here, with the words known so far."""
        turns = [
            self._closed(turn, now if turn.ended is None else turn.ended)
            for turn in self._open.values()
        ]
        self._open.clear()
        return turns

    def _begin(self, item_id: str, who: Speaker, now: float) -> _OpenTurn:
        if item_id not in self._open:
            self.count += 1
            self._open[item_id] = _OpenTurn(self.count, who, now)
        return self._open[item_id]

    def _closed(self, turn: _OpenTurn, ended: float) -> Turn:
        return Turn(
            number=turn.number,
            who=turn.who,
            text=turn.text,
            started_ms=self._since_start_ms(turn.started),
            ended_ms=self._since_start_ms(ended),
            latency=turn.latency,
        )

    def _since_start_ms(self, at: float) -> int:
        return max(0, round((at - self.stream_started) * 1000))
