"""The model receives no more audio than time has passed, plus a burst."""

from hypothesis import given
from hypothesis import strategies as st

from media_bridge.audio.codecs import Codec
from media_bridge.audio.pace_limit import BURST_SECONDS
from media_bridge.commands import AppendAudio, BridgeCommand
from media_bridge.speech.caller_audio import CallerAudioPath
from phonebridge.settings import ModelAudio

FRAME_SECONDS = 0.02
RATE = 8000

CHUNKS = st.one_of(st.none(), st.integers(0, 3000))
SENT = st.lists(st.tuples(st.floats(0.0, 1.0), CHUNKS, st.integers(1, 20_000)), max_size=80)


def path() -> CallerAudioPath:
    caller_audio = CallerAudioPath(ModelAudio.G711)
    caller_audio.begin(Codec.PCMU, Codec.PCMU, now=0.0)
    caller_audio.start_forwarding()
    return caller_audio


def seconds_of(commands: list[BridgeCommand]) -> float:
    return sum(len(each.audio) for each in commands if isinstance(each, AppendAudio)) / RATE


@given(SENT)
def test_the_model_hears_no_more_than_time_and_a_burst(
    sent: list[tuple[float, int | None, int]],
) -> None:
    """Whatever the sizes and numbers of the frames are: gaps in the numbers are filled."""
    caller_audio, now, heard = path(), 0.0, 0.0
    for pause, chunk, size in sent:
        now += pause
        heard += seconds_of(caller_audio.due(now))
        heard += seconds_of(caller_audio.push(chunk, b"\x2a" * size, now))
        heard += seconds_of(caller_audio.look_for_gap(now - pause, speaks=True, now=now))
        assert heard <= now + BURST_SECONDS + 1e-6


@given(st.lists(st.integers(1, 600), max_size=12), st.floats(0.0, BURST_SECONDS - 0.1))
def test_no_frame_is_dropped_that_was_held_up(held: list[int], early_seconds: float) -> None:
    """Frames come in bursts of any length, none of them before its time, or a little."""
    caller_audio, chunk = path(), 0
    for frames in held:
        now = max(0.0, (chunk + frames) * FRAME_SECONDS - early_seconds)
        for _ in range(frames):
            chunk += 1
            assert seconds_of(caller_audio.push(chunk, b"\x2a" * 160, now)) == FRAME_SECONDS
    assert caller_audio.frames_lost == 0


def test_a_sender_that_is_ten_times_too_fast_is_heard_at_the_right_pace() -> None:
    caller_audio, heard = path(), 0.0
    for chunk in range(30_000):
        heard += seconds_of(caller_audio.push(chunk, b"\x2a" * 160, chunk * 0.002))
    assert 60.0 <= heard <= 60.0 + BURST_SECONDS
    assert caller_audio.frames_lost == 30_000 - round(heard / FRAME_SECONDS)
