"""What was sent to the caller, what was heard of it, and what to clear and truncate.

The model bursts: a long answer may arrive in the first fraction of its length. Telnyx would queue
all of it, and then nobody knows what the caller has heard. So audio waits here and leaves with a
bounded lead over its playback: what Telnyx has not played yet is never more than `LEAD_MS`, and
the place up to which the caller has listened follows from the clock.
"""

from collections import deque
from dataclasses import dataclass, field

from media_bridge.audio import Codec, Converter

BYTES_PER_MS = 8
"""G.711: 8000 one-byte samples a second."""
LEAD_MS = 200
CHUNK_MS = 100
"""The largest piece sent at once: few messages, yet small beside the lead."""
SHORTEST_CHUNK_MS = 20
"""Telnyx's lower limit for one message ("Media Streaming over WebSockets")."""

_LEAD = LEAD_MS * BYTES_PER_MS
_CHUNK = CHUNK_MS * BYTES_PER_MS
_SHORTEST = SHORTEST_CHUNK_MS * BYTES_PER_MS


@dataclass(slots=True)
class Item:
    """One audio item of the conversation, on its way to the caller. Sizes are bytes of the line's
    codec, except `model_bytes`."""

    item_id: str
    content_index: int
    response_id: str
    converter: Converter
    model_bytes: int = 0
    queued: int = 0
    sent: int = 0
    heard: int = 0
    finished: bool = False

    @property
    def heard_whole(self) -> bool:
        return self.finished and self.heard >= self.queued


@dataclass(frozen=True, slots=True)
class Cut:
    """Where playback of an item was stopped: what the caller heard, of what the model said."""

    item: Item
    heard_ms: int
    received_ms: int


@dataclass(slots=True)
class _Piece:
    item: Item
    size: int


@dataclass(slots=True)
class Playout:
    """`codec` is the one we speak on the line; `model_bytes_per_ms` belongs to the model's format.
    Times are seconds of the bridge's clock."""

    codec: Codec
    model_bytes_per_ms: int
    _waiting: deque[_Piece] = field(default_factory=deque)
    _audio: bytearray = field(default_factory=bytearray)
    _playing: deque[_Piece] = field(default_factory=deque)
    _playing_since: float = 0.0
    _items: dict[str, Item] = field(default_factory=dict)

    @property
    def is_speaking(self) -> bool:
        """Whether the caller still has something to hear; judged as of the last `listen`."""
        return bool(self._waiting or self._playing)

    @property
    def items(self) -> tuple[Item, ...]:
        """Items not yet heard whole, in the order of their playback."""
        return tuple(self._items.values())

    def item(self, item_id: str) -> Item | None:
        return self._items.get(item_id)

    def add(self, item: Item) -> None:
        """An item begins. What its predecessor's filter still holds belongs before it."""
        for earlier in self._items.values():
            self._flush(earlier)
        self._items[item.item_id] = item

    def feed(self, item: Item, audio: bytes) -> None:
        item.model_bytes += len(audio)
        self._queue(item, item.converter.feed(audio))

    def finish(self, item_id: str) -> None:
        if item := self._items.get(item_id):
            self._flush(item)
            item.finished = True

    def due(self, now: float) -> list[bytes]:
        """The chunks that have to leave now."""
        self.listen(now)
        chunks = []
        while self._ahead(now) <= _LEAD - _CHUNK and (chunk := self._next_chunk()):
            if not self._playing:
                self._playing_since = now
            self._place(len(chunk))
            chunks.append(chunk)
        return chunks

    def next_deadline(self) -> float | None:
        """When the next chunk has to leave, or what was sent last will have been heard."""
        if not self._playing:
            return None
        until_then = self._unplayed() - (_LEAD - _CHUNK if self._sendable() else 0)
        return self._playing_since + until_then / BYTES_PER_MS / 1000

    def listen(self, now: float) -> list[Item]:
        """Move playback on to `now`; the items that were thereby heard to their end."""
        played = self._played(now)
        while self._playing and played >= self._playing[0].size:
            piece = self._playing.popleft()
            piece.item.heard += piece.size
            played -= piece.size
            self._playing_since += piece.size / BYTES_PER_MS / 1000
        whole = [item for item in self._items.values() if item.heard_whole]
        for item in whole:
            del self._items[item.item_id]
        return whole

    def clear(self, now: float) -> list[Cut]:
        """Stop: forget everything not heard yet, and tell where each item was cut."""
        self.listen(now)
        if self._playing:
            self._playing[0].item.heard += max(0, self._played(now))
        cuts = [self._cut(item) for item in self._items.values()]
        self._waiting.clear()
        self._playing.clear()
        self._audio.clear()
        self._items.clear()
        return cuts

    def _cut(self, item: Item) -> Cut:
        received_ms = item.model_bytes // self.model_bytes_per_ms
        # The model refuses a truncation beyond what it sent, and believes then that all was heard.
        return Cut(item, min(item.heard // BYTES_PER_MS, received_ms), received_ms)

    def _queue(self, item: Item, audio: bytes) -> None:
        if not audio:
            return
        self._audio += audio
        item.queued += len(audio)
        if self._waiting and self._waiting[-1].item is item:
            self._waiting[-1].size += len(audio)
        else:
            self._waiting.append(_Piece(item, len(audio)))

    def _flush(self, item: Item) -> None:
        if not item.finished:
            self._queue(item, item.converter.flush())

    def _sendable(self) -> bool:
        return len(self._audio) >= _SHORTEST or (bool(self._audio) and self._all_finished())

    def _all_finished(self) -> bool:
        return all(item.finished for item in self._items.values())

    def _next_chunk(self) -> bytes:
        if not self._sendable():
            return b""
        # What would be left must not be too short for a message of its own.
        rest = len(self._audio) - _CHUNK
        size = len(self._audio) - _SHORTEST if 0 < rest < _SHORTEST else _CHUNK
        chunk = bytes(self._audio[:size])
        del self._audio[:size]
        return chunk + self.codec.silence * (_SHORTEST - len(chunk))

    def _place(self, size: int) -> None:
        """Note which items the next `size` bytes belong to; padding belongs to the last of them."""
        while self._waiting and size:
            piece = self._waiting[0]
            taken = min(piece.size, size)
            self._playing.append(_Piece(piece.item, taken))
            piece.item.sent += taken
            piece.size -= taken
            size -= taken
            if not piece.size:
                self._waiting.popleft()
        if size:
            self._playing[-1].size += size

    def _unplayed(self) -> int:
        return sum(piece.size for piece in self._playing)

    def _played(self, now: float) -> int:
        """Of what is playing, as of the last `listen`. Whole bytes: a fraction left by the clock's
        rounding would keep a deadline from ever being met."""
        return round((now - self._playing_since) * 1000 * BYTES_PER_MS)

    def _ahead(self, now: float) -> int:
        return self._unplayed() - self._played(now) if self._playing else 0
