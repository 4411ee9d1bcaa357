from dataclasses import replace

import pytest

from media_bridge.audio.codecs import Codec
from media_bridge.commands import FailCall
from media_bridge.conversation.stream_start import (
    RING_TIMEOUT_SECONDS,
    START_TIMEOUT_SECONDS,
    line_of,
    start_timeout,
)
from media_bridge.events import StreamStarted
from tests.support.bridges import CALL, RINGING, STARTED

OTHERS = FailCall("wrong_call", "the media stream belongs to another call")


@pytest.mark.parametrize("codec", Codec)
def test_each_codec_can_be_carried_at_its_rate(codec: Codec) -> None:
    started = replace(STARTED, encoding=codec.value, sample_rate_hz=codec.rate_hz)
    assert line_of(started, CALL) is codec


@pytest.mark.parametrize(
    ("event", "answer"),
    [
        (replace(STARTED, client_state="call-2", call_control_id="v3:leg-2"), OTHERS),
        (replace(STARTED, client_state=None, call_control_id="v3:leg-2"), OTHERS),
        (replace(STARTED, call_control_id="v3:leg-2"), Codec.PCMU),
        (replace(STARTED, client_state=None), Codec.PCMU),
        (
            replace(STARTED, client_state="call-1/announcement/3", call_control_id="v3:leg-2"),
            Codec.PCMU,
        ),
        (replace(STARTED, client_state="call-2"), Codec.PCMU),
        (replace(STARTED, client_state="not ours"), Codec.PCMU),
    ],
)
def test_the_leg_or_else_the_client_state_tells_whose_stream_it_is(
    event: StreamStarted, answer: Codec | FailCall
) -> None:
    assert line_of(event, CALL) == answer


def test_a_stream_that_comes_before_its_leg_is_known_is_believed() -> None:
    """Its token is that of the call."""
    ringing = replace(CALL, leg=None)
    assert line_of(replace(STARTED, client_state="not ours"), ringing) is Codec.PCMU


def test_a_codec_that_cannot_be_carried_is_named() -> None:
    answer = line_of(replace(STARTED, encoding="OPUS", sample_rate_hz=16000), CALL)
    assert answer == FailCall(
        "unsupported_codec", "OPUS at 16000 Hz is neither G.711 at 8000 Hz nor L16 at 16000 Hz"
    )
    assert isinstance(line_of(replace(STARTED, encoding="L16"), CALL), FailCall)


def test_a_phone_may_ring_for_a_while() -> None:
    assert (
        start_timeout(CALL)
        == start_timeout(replace(RINGING, answered_at_ms=5_000))
        == START_TIMEOUT_SECONDS
    )
    assert start_timeout(RINGING) == RING_TIMEOUT_SECONDS
