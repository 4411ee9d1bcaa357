"""The agent's audio on its way to the caller, against a queue that plays in real time."""

from collections.abc import Iterable
from dataclasses import dataclass, field

import pytest
from hypothesis import given
from hypothesis import strategies as st

from media_bridge.audio.codecs import Codec
from media_bridge.audio.converters import Converter, ModelToTelephone, PassThrough
from media_bridge.audio.loudness import Loudness
from media_bridge.commands import MarkPlayback, PlayAudio
from media_bridge.deadline import NEVER
from media_bridge.speech.playout import (
    CHUNK_MS,
    LEAD_MS,
    MIN_CHUNK_MS,
    Item,
    ItemTruncated,
    Playout,
)
from tests.support.bridges import sound

SILENCE = 0xFF
BYTES_PER_MS = 8
PCM_BYTES_PER_MS = 48
ROUNDING_MS = 1 / BYTES_PER_MS


@dataclass
class Caller:
    """Hears what a playout sends, as Telnyx does: queued, then played one after the other."""

    playout: Playout
    now: float = 0.0
    returns_marks_at_once: bool = False
    chunks: list[bytes] = field(default_factory=list)
    longest_lead_ms: float = 0.0
    _heard_until: float = 0.0

    @property
    def received_audio(self) -> bytes:
        return b"".join(self.chunks)

    def listen(self) -> None:
        self.playout.advance(self.now)
        sent = self.playout.due(self.now)
        for mark in sent:
            if isinstance(mark, MarkPlayback) and self.returns_marks_at_once:
                self.playout.mark_returned(mark.name, self.now)
        self.playout.advance(self.now)
        for chunk in (each.payload for each in sent if isinstance(each, PlayAudio)):
            self.chunks.append(chunk)
            length = len(chunk) / BYTES_PER_MS / 1000
            self._heard_until = max(self._heard_until, self.now) + length
            self.longest_lead_ms = max(self.longest_lead_ms, (self._heard_until - self.now) * 1000)

    def wait(self, seconds: float) -> None:
        """Every deadline of the playout is kept, and none may come again at once."""
        until = self.now + seconds
        while (deadline := self.playout.next_deadline()) <= until:
            assert deadline > self.now
            self.now = deadline
            self.listen()
        self.now = until


def speech(number: int, converter: Converter | None = None) -> Item:
    loudness = Loudness(None if converter else Codec.PCMU)
    return Item(f"item-{number}", 0, "resp-1", converter or PassThrough(), loudness)


def g711() -> Playout:
    return Playout(Codec.PCMU, BYTES_PER_MS)


def heard_ms(cuts: Iterable[ItemTruncated]) -> list[int]:
    return [cut.played_ms for cut in cuts]


def test_ten_seconds_at_once_leave_in_ten_seconds() -> None:
    playout = g711()
    caller = Caller(playout)
    item = speech(1)
    playout.add(item)
    playout.feed(item, sound(10_000))
    playout.finish("item-1")
    caller.listen()
    assert len(caller.received_audio) == LEAD_MS * BYTES_PER_MS
    caller.wait(9.7)
    assert len(caller.received_audio) == (9_700 + LEAD_MS) * BYTES_PER_MS
    assert playout.is_speaking
    caller.wait(0.3)
    assert caller.received_audio == sound(10_000)
    assert not playout.is_speaking
    assert playout.items == ()
    assert playout.next_deadline() == NEVER


def test_a_carrier_that_returns_marks_before_their_time_hears_no_gap() -> None:
    playout = g711()
    caller = Caller(playout, returns_marks_at_once=True)
    item = speech(1)
    playout.add(item)
    playout.feed(item, sound(10_000))
    caller.listen()
    caller.wait(5)
    assert len(caller.received_audio) == (5_000 + LEAD_MS) * BYTES_PER_MS


@pytest.mark.parametrize("start", [0.0, 1 / 3, 86_400 * 365 / 7])
def test_no_deadline_comes_twice_at_any_time_of_the_clock(start: float) -> None:
    playout = g711()
    caller = Caller(playout, now=start)
    item = speech(1)
    playout.add(item)
    playout.feed(item, sound(60_000) + b"\x11")
    playout.finish("item-1")
    caller.listen()
    caller.wait(70)
    assert playout.next_deadline() == NEVER


def test_a_rest_too_short_for_a_message_is_shared_with_the_one_before() -> None:
    playout = g711()
    caller = Caller(playout)
    item = speech(1)
    playout.add(item)
    playout.feed(item, sound(CHUNK_MS) + b"\x11")
    playout.finish("item-1")
    caller.listen()
    assert [len(chunk) for chunk in caller.chunks] == [641, 160]


def test_a_tail_waits_for_its_end_then_leaves_with_silence() -> None:
    playout = g711()
    caller = Caller(playout)
    item = speech(1)
    playout.add(item)
    playout.feed(item, sound(10))
    caller.listen()
    caller.wait(1)
    assert caller.chunks == []
    playout.finish("item-1")
    caller.listen()
    assert caller.chunks == [sound(10) + sound(10, SILENCE)]


def test_a_tail_goes_on_with_the_next_item_without_a_gap() -> None:
    playout = g711()
    caller = Caller(playout)
    first, second = speech(1), speech(2)
    playout.add(first)
    playout.feed(first, sound(10, 1))
    playout.add(second)
    playout.finish("item-1")
    playout.feed(second, sound(10, 2))
    caller.listen()
    assert caller.chunks == [sound(10, 1) + sound(10, 2)]


def test_what_the_filter_holds_of_an_item_comes_before_the_next() -> None:
    playout = Playout(Codec.PCMU, PCM_BYTES_PER_MS)
    caller = Caller(playout)
    loud, soft = b"\x00\x40" * 2400, b"\x00\x01" * 2400
    first, second = speech(1, ModelToTelephone(Codec.PCMU)), speech(2, ModelToTelephone(Codec.PCMU))
    playout.add(first)
    playout.feed(first, loud)
    playout.add(second)
    playout.feed(second, soft)
    playout.finish("item-1")
    playout.finish("item-2")
    caller.listen()
    caller.wait(1)
    assert caller.received_audio == whole(loud) + whole(soft)


def whole(pcm: bytes) -> bytes:
    converter = ModelToTelephone(Codec.PCMU)
    return converter.feed(pcm) + converter.flush()


def test_a_cut_tells_what_of_each_item_was_heard() -> None:
    playout = g711()
    caller = Caller(playout)
    for number, ms in ((1, 300), (2, 500), (3, 500)):
        item = speech(number)
        playout.add(item)
        playout.feed(item, sound(ms))
        playout.finish(item.item_id)
    caller.listen()
    caller.wait(0.45)
    _, cuts = playout.clear(caller.now)
    assert [cut.item.item_id for cut in cuts] == ["item-2", "item-3"]
    assert heard_ms(cuts) == [150, 0]
    assert [cut.received_ms for cut in cuts] == [500, 500]
    assert not playout.is_speaking
    caller.listen()
    assert playout.next_deadline() == NEVER


def test_no_more_was_heard_than_was_received() -> None:
    playout = Playout(Codec.PCMU, PCM_BYTES_PER_MS)
    caller = Caller(playout)
    item = speech(1, ModelToTelephone(Codec.PCMU))
    playout.add(item)
    playout.feed(item, bytes(PCM_BYTES_PER_MS * 7))
    for _ in range(3):  # so that the filter gives out 20 ms, and then holds what is more
        playout.feed(item, bytes(PCM_BYTES_PER_MS * 5))
    caller.listen()
    caller.wait(5)
    _, [cut] = playout.clear(caller.now)
    assert cut.played_ms <= cut.received_ms == 22


def test_padding_was_not_heard_of_the_item() -> None:
    playout = g711()
    caller = Caller(playout)
    item = speech(1)
    playout.add(item)
    playout.feed(item, sound(5))
    playout.finish("item-1")
    caller.listen()
    caller.wait(0.001)
    _, [cut] = playout.clear(caller.now)
    assert cut.played_ms == 1


def test_after_a_cut_the_next_item_starts_at_once() -> None:
    playout = g711()
    caller = Caller(playout)
    for number in (1, 2):
        item = speech(number)
        playout.add(item)
        playout.feed(item, sound(1000, number))
        caller.listen()
        caller.wait(0.25)
        assert heard_ms(playout.clear(caller.now)[1]) == [250]
    assert caller.received_audio == sound(400, 1) + sound(400, 2)


_pauses = st.sampled_from([0.0, 0.0, 0.001, 0.02, 1 / 30, 0.1, 0.7])
_sizes = st.integers(1, 4000)
_feeds = st.lists(st.tuples(_pauses, st.integers(1, 3), _sizes), min_size=1, max_size=25)


@given(
    start=st.sampled_from([0.0, 1e5 / 7]),
    feeds=_feeds,
    order=st.permutations([1, 2, 3]),
    pause=_pauses,
)
def test_whatever_the_model_sends_is_paced_whole_and_in_order(
    start: float, feeds: list[tuple[float, int, int]], order: list[int], pause: float
) -> None:
    playout = g711()
    caller = Caller(playout, now=start)
    items: dict[int, Item] = {}
    for before, number, size in feeds:
        caller.wait(before)
        if number not in items:
            items[number] = speech(number)
            playout.add(items[number])
        playout.feed(items[number], bytes([number]) * size)
        caller.listen()
    for number in order:
        caller.wait(pause)
        playout.finish(f"item-{number}")
        caller.listen()
    caller.wait(60)

    sent = b"".join(bytes([number]) * size for _, number, size in feeds)
    padding = -len(sent) % (MIN_CHUNK_MS * BYTES_PER_MS)
    assert caller.received_audio.removesuffix(bytes([SILENCE]) * padding).rstrip(b"\xff") == sent
    assert caller.longest_lead_ms <= LEAD_MS + ROUNDING_MS
    lengths_ms = [len(chunk) / BYTES_PER_MS for chunk in caller.chunks]
    assert all(MIN_CHUNK_MS <= length <= CHUNK_MS for length in lengths_ms)
    padded = [chunk for chunk in caller.chunks if SILENCE in chunk]
    assert all(len(chunk) == MIN_CHUNK_MS * BYTES_PER_MS for chunk in padded)
    assert playout.items == ()
    assert not playout.is_speaking
    assert playout.next_deadline() == NEVER


@given(sizes=st.lists(st.integers(1, 5000), min_size=1, max_size=20))
def test_deltas_of_any_size_sound_as_one_stream(sizes: list[int]) -> None:
    playout = Playout(Codec.PCMU, PCM_BYTES_PER_MS)
    caller = Caller(playout)
    item = speech(1, ModelToTelephone(Codec.PCMU))
    playout.add(item)
    spoken = bytes(n * n % 251 for n in range(sum(sizes)))
    start = 0
    for size in sizes:
        playout.feed(item, spoken[start : start + size])
        caller.listen()
        start += size
    playout.finish("item-1")
    caller.listen()
    caller.wait(60)
    padding = len(caller.received_audio) - len(whole(spoken))
    assert caller.received_audio == whole(spoken) + bytes([SILENCE]) * padding
    assert 0 <= padding < MIN_CHUNK_MS * BYTES_PER_MS


@given(seconds=st.floats(0, 3), sizes=st.lists(st.integers(1, 9000), min_size=1, max_size=5))
def test_what_was_heard_follows_the_clock(seconds: float, sizes: list[int]) -> None:
    playout = g711()
    caller = Caller(playout)
    for number, size in enumerate(sizes):
        item = speech(number)
        playout.add(item)
        playout.feed(item, b"\x11" * size)
        playout.finish(item.item_id)
    caller.listen()
    caller.wait(seconds)
    _, cuts = playout.clear(caller.now)
    heard_whole = len(sizes) - len(cuts)
    left = max(0.0, seconds * 1000 * BYTES_PER_MS - sum(sizes[:heard_whole]))
    for cut, size in zip(cuts, sizes[heard_whole:], strict=True):
        assert cut.played_ms == pytest.approx(min(left, size) / BYTES_PER_MS, abs=1.1)
        left = max(0.0, left - size)


def test_of_l16_a_millisecond_is_32_bytes() -> None:
    playout = Playout(Codec.L16, PCM_BYTES_PER_MS)
    caller = Caller(playout)
    item = speech(1, ModelToTelephone(Codec.L16))
    playout.add(item)
    playout.feed(item, bytes(PCM_BYTES_PER_MS * 1000))
    caller.listen()
    assert {len(chunk) for chunk in caller.chunks} == {32 * CHUNK_MS}
    assert len(caller.received_audio) == 32 * LEAD_MS
    caller.now = 0.15
    _, [cut] = playout.clear(caller.now)
    assert (cut.played_ms, cut.received_ms) == (150, 1000)
