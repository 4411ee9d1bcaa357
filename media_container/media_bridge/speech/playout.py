"""Paces the agent's audio, and knows how much of each item was played.

The model sends faster than real time. Telnyx would queue a long answer completely, and then the
position of the playback would be unknown. So audio waits here and leaves with a bounded lead:
Telnyx never has more than `LEAD_MS` of unplayed audio. `playback_clock.py` estimates the position.
"""

from collections import deque
from dataclasses import dataclass, field

from media_bridge.audio.codecs import Codec
from media_bridge.audio.converters import Converter
from media_bridge.audio.loudness import Loudness
from media_bridge.commands import MarkPlayback, PlayAudio
from media_bridge.deadline import NEVER
from media_bridge.speech.playback_clock import PlaybackClock

LEAD_MS = 200
CHUNK_MS = 100
"""The largest piece sent at once: few messages, yet small beside the lead."""
MIN_CHUNK_MS = 20
"""Telnyx's lower limit for one message ("Media Streaming over WebSockets")."""


@dataclass(slots=True)
class _Span:
    begin: int
    end: int


@dataclass(slots=True)
class Item:
    """One audio item of the conversation, on its way to the caller. Sizes are bytes of the line's
    codec, except `model_bytes`."""

    item_id: str
    content_index: int
    response_id: str
    converter: Converter
    loudness: Loudness
    model_bytes: int = 0
    waiting: int = 0
    finished: bool = False
    is_broken: bool = False
    """True if its session was lost before all of its sound had come."""
    _sent: list[_Span] = field(default_factory=list)
    """The positions of the item in all that was sent."""

    @property
    def ends(self) -> int | None:
        """The position at which the item ends, once all of it was sent."""
        if not self.finished or self.waiting:
            return None
        return self._sent[-1].end if self._sent else 0

    @property
    def has_started(self) -> bool:
        """Whether some of the item was sent."""
        return bool(self._sent)

    def place(self, begin: int, size: int) -> None:
        self.waiting -= size
        if self._sent and self._sent[-1].end == begin:
            self._sent[-1].end += size
        else:
            self._sent.append(_Span(begin, begin + size))

    def bytes_played(self, played: int) -> int:
        return sum(max(0, min(span.end, played) - span.begin) for span in self._sent)


@dataclass(frozen=True, slots=True)
class ItemPlayed:
    """An item was played to its end, at that time."""

    item: Item
    at: float


@dataclass(frozen=True, slots=True)
class ItemTruncated:
    """Playback of an item was stopped after `played_ms` of `received_ms`."""

    item: Item
    played_ms: int
    received_ms: int


@dataclass(slots=True)
class _Piece:
    item: Item
    size: int


@dataclass(slots=True)
class Playout:
    """`codec` is the one that we speak on the line. `model_bytes_per_ms` belongs to the model's
    format."""

    codec: Codec
    model_bytes_per_ms: int
    _waiting: deque[_Piece] = field(default_factory=deque)
    _audio: bytearray = field(default_factory=bytearray)
    _clock: PlaybackClock = field(init=False)
    _chunk: int = field(init=False)
    _max_ahead: int = field(init=False)
    """How much may be left to play when the next chunk leaves."""
    _min_chunk: int = field(init=False)
    chunks_sent: int = 0
    _played: int = 0
    """The confirmed position, as of the last `advance`."""
    _items: dict[str, Item] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self._clock = PlaybackClock(self.codec.bytes_per_ms)
        self._chunk = CHUNK_MS * self.codec.bytes_per_ms
        self._max_ahead = LEAD_MS * self.codec.bytes_per_ms - self._chunk
        self._min_chunk = MIN_CHUNK_MS * self.codec.bytes_per_ms

    @property
    def is_speaking(self) -> bool:
        """Whether the caller still has something to hear, as of the last `advance`."""
        return bool(self._waiting) or self._played < self._clock.sent

    @property
    def is_ahead(self) -> bool:
        """Whether a whole chunk waits for its time, so that more sound behind it changes no
        deadline."""
        return len(self._audio) >= self._chunk

    @property
    def items(self) -> tuple[Item, ...]:
        """Items that are not known to be played completely, in the order of their playback."""
        return tuple(self._items.values())

    def item(self, item_id: str) -> Item | None:
        return self._items.get(item_id)

    def add(self, item: Item) -> None:
        """Begin an item. The sound that the filter holds of the previous item comes before it."""
        for earlier in self._items.values():
            self._flush(earlier)
        self._items[item.item_id] = item

    def feed(self, item: Item, audio: bytes) -> None:
        item.model_bytes += len(audio)
        item.loudness.feed(audio)
        self._queue(item, item.converter.feed(audio))

    def has_started(self, item_id: str) -> bool:
        """Some of the item was sent, and the caller may still have something of it to hear."""
        item = self._items.get(item_id)
        return item is not None and item.has_started

    def finish(self, item_id: str) -> None:
        if item := self._items.get(item_id):
            self._flush(item)
            item.finished = True

    def due(self, now: float) -> list[PlayAudio | MarkPlayback]:
        """Return the chunks that have to leave now, with marks among them. A mark before the first
        chunk measures the round trip."""
        sending: list[PlayAudio | MarkPlayback] = []
        if not self._audio:
            return sending
        while now >= self._clock.sendable_at(self._max_ahead) and (chunk := self._next_chunk()):
            sending += self._mark(now) if self._clock.is_empty(now) else ()
            self._place(len(chunk), now)
            sending.append(PlayAudio(chunk))
            self.chunks_sent += 1
            if not self._sendable() or self._clock.wants_mark:
                sending += self._mark(now)
        return sending

    def mark_returned(self, name: str, now: float) -> None:
        self._clock.mark_returned(name, now)

    def next_deadline(self) -> float:
        """Return when the next chunk has to leave, or when the last one will have been played."""
        if self._sendable():
            return self._clock.sendable_at(self._max_ahead)
        if self._played >= self._clock.sent:
            return NEVER
        return self._clock.confirmed_at

    def advance(self, now: float) -> list[ItemPlayed]:
        """Move playback on to `now`. Return the items whose playback is thereby complete."""
        if not self._items and self._played == self._clock.confirmed == self._clock.sent:
            return []
        self._played = self._clock.confirmed_position(now)
        return self._take_played(self._played, now)

    def clear(self, now: float) -> tuple[list[ItemPlayed], list[ItemTruncated]]:
        """Stop playback and forget everything. Return the items that were played completely, and
        where each of the others was cut."""
        played = self._clock.position(now)
        whole = self._take_played(played, now)
        cuts = [self._cut(item, played) for item in self._items.values()]
        self._waiting.clear()
        self._audio.clear()
        self._items.clear()
        self._clock.clear()
        self._played = self._clock.sent
        return whole, cuts

    def _take_played(self, played: int, now: float) -> list[ItemPlayed]:
        whole = []
        for item in list(self._items.values()):
            if (end := item.ends) is not None and end <= played:
                del self._items[item.item_id]
                whole.append(ItemPlayed(item, min(now, self._clock.time_at(end))))
        return whole

    def _cut(self, item: Item, played: int) -> ItemTruncated:
        received_ms = item.model_bytes // self.model_bytes_per_ms
        # The model refuses a truncation beyond its audio, and then assumes that all was played.
        played_ms = item.bytes_played(played) // self.codec.bytes_per_ms
        return ItemTruncated(item, min(played_ms, received_ms), received_ms)

    def _queue(self, item: Item, audio: bytes) -> None:
        if not audio:
            return
        self._audio += audio
        item.waiting += len(audio)
        if self._waiting and self._waiting[-1].item is item:
            self._waiting[-1].size += len(audio)
        else:
            self._waiting.append(_Piece(item, len(audio)))

    def _flush(self, item: Item) -> None:
        if not item.finished:
            self._queue(item, item.converter.flush())

    def _sendable(self) -> bool:
        return len(self._audio) >= self._min_chunk or (bool(self._audio) and self._all_finished())

    def _all_finished(self) -> bool:
        return all(item.finished for item in self._items.values())

    def _next_chunk(self) -> bytes:
        if not self._sendable():
            return b""
        # What would be left must not be too short for a message of its own.
        rest = len(self._audio) - self._chunk
        size = len(self._audio) - self._min_chunk if 0 < rest < self._min_chunk else self._chunk
        chunk = bytes(self._audio[:size])
        del self._audio[:size]
        return chunk + self.codec.silence * (self._min_chunk - len(chunk))

    def _place(self, size: int, now: float) -> None:
        """Note which items the next `size` bytes belong to. Padding belongs to none."""
        begin = self._clock.sent
        self._clock.send(size, now)
        while self._waiting and size:
            piece = self._waiting[0]
            taken = min(piece.size, size)
            piece.item.place(begin, taken)
            piece.size -= taken
            size -= taken
            begin += taken
            if not piece.size:
                self._waiting.popleft()

    def _mark(self, now: float) -> tuple[MarkPlayback, ...]:
        name = self._clock.mark(now)
        return (MarkPlayback(name),) if name else ()
