"""Conclusions from media frames, and how the beeps show the byte order."""

import base64
from typing import Any

import numpy as np
import pytest

from proving.receiver import SeenSocket
from proving.sound_questions import _frame_length, _order_received, _silence, _timestamp_unit, beeps
from simulators.audio import l16

Heard = list[tuple[float, dict[str, Any]]]


def frames_of(step: int, gap_seconds: float = 0.02, payload: bytes = b"\xff" * 160) -> Heard:
    encoded = base64.b64encode(payload).decode()
    return [
        (number * gap_seconds, {"media": {"timestamp": str(number * step), "payload": encoded}})
        for number in range(30)
    ]


@pytest.mark.parametrize(
    ("step", "unit"), [(20, "milliseconds"), (160, "samples"), (320, "samples"), (1, "other")]
)
def test_the_unit_of_timestamps_follows_from_their_steps(step: int, unit: str) -> None:
    assert _timestamp_unit(frames_of(step)).answer == unit


def test_gaps_and_lengths_are_told_from_the_frames() -> None:
    assert _silence(frames_of(20)).answer == "continuous"
    assert _silence(frames_of(20, gap_seconds=1.0)).answer == "gaps"
    assert _frame_length(frames_of(20)).answer == "20_ms"
    assert _frame_length(frames_of(20, payload=b"\xff" * 240)).answer == "other"


@pytest.mark.parametrize(("order", "wrong"), [(">i2", "<i2"), ("<i2", ">i2")])
def test_a_beep_in_the_wrong_order_is_next_to_silent(order: str, wrong: str) -> None:
    """The beeps must not be too loud for an ear."""
    payload = beeps(1, order)
    assert np.abs(np.frombuffer(payload, order).astype(int)).max() > 5_000
    assert np.abs(np.frombuffer(payload, wrong).astype(int)).max() < 256


@pytest.mark.parametrize("order", ["big", "little"])
def test_the_order_of_received_sound_is_the_smoother_one(order: str) -> None:
    said = (8_000 * np.sin(np.arange(1600) / 5)).astype(np.int16)
    payload = base64.b64encode(l16.L16(order).encode(said)).decode()
    start = {"event": "start", "start": {"media_format": {"encoding": "L16"}}}
    socket = SeenSocket(1, None, 0.0, [start], [(0.0, {"media": {"payload": payload}})])  # type: ignore[arg-type]
    assert _order_received(socket).answer == order


def test_a_silent_or_narrow_line_tells_no_order() -> None:
    start = {"event": "start", "start": {"media_format": {"encoding": "PCMU"}}}
    assert _order_received(SeenSocket(1, None, 0.0, [start])).answer == "other_codec"  # type: ignore[arg-type]
    start["start"] = {"media_format": {"encoding": "L16"}}
    assert _order_received(SeenSocket(1, None, 0.0, [start])).answer == "no_media"  # type: ignore[arg-type]
