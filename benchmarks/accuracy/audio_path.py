"""The container's audio path without its sockets, in both directions: from a line that loses and
reorders frames to the model, and from the model to the line."""

import base64
import json
import math
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from media_bridge.audio.codecs import MODEL_BYTES_PER_MS, MODEL_RATE_HZ, Codec
from media_bridge.commands import AppendAudio, BridgeCommand, PlayAudio
from media_bridge.deadline import NEVER
from media_bridge.events import AudioReceived, CallerAudio
from media_bridge.speech.agent_audio import AgentAudio
from media_bridge.speech.caller_audio import CallerAudioPath
from media_bridge.speech.playout import Playout
from media_bridge.speech.transcript import Transcript
from media_bridge.telnyx_stream import TelnyxStream
from phonebridge.settings import ByteOrder, ModelAudio

FRAME_MS = 20
DELTA_BYTES = 4801
"""About 100 ms of PCM. The number is odd because models may cut their audio anywhere."""
OVERTAKEN_SECONDS = (0.02, 0.05)
"""Delay of a late frame, in seconds: one or two younger frames arrive before it."""


@dataclass(frozen=True, slots=True)
class Mode:
    codec: Codec
    model_audio: ModelAudio

    @property
    def model_rate_hz(self) -> int:
        return MODEL_RATE_HZ if self.model_audio is ModelAudio.PCM24K else self.codec.rate_hz


@dataclass(frozen=True, slots=True)
class Condition:
    """The shares of frames that are lost and reordered."""

    lost: float = 0.0
    reordered: float = 0.0


@dataclass(frozen=True, slots=True)
class Arrival:
    at: float
    chunk: int
    payload: bytes


@dataclass(frozen=True, slots=True)
class LossyLine:
    """Loses and delays frames.

    The same frames of a call are lost or late whatever the codec. Frames lost at a lower share are
    also lost at a higher one.
    """

    condition: Condition
    seed: int

    def arrivals(self, codec: Codec, sound: bytes) -> list[Arrival]:
        payloads = [*_frames(codec, sound)]
        lost, late = self._fates(len(payloads))
        came = (
            Arrival(chunk * FRAME_MS / 1000 + float(late[chunk]), chunk + 1, payload)
            for chunk, payload in enumerate(payloads)
            if not lost[chunk]
        )
        return sorted(came, key=lambda arrival: arrival.at)

    def ideal(self, codec: Codec, sound: bytes) -> bytes:
        """The sound of an ideal line: every frame that arrives in its place, however late, and
        silence for lost frames."""
        payloads = [*_frames(codec, sound)]
        lost, _ = self._fates(len(payloads))
        return b"".join(
            codec.silence * len(payload) if is_lost else payload
            for payload, is_lost in zip(payloads, lost, strict=True)
        )

    def _fates(self, frames: int) -> tuple[NDArray[np.bool_], NDArray[np.float64]]:
        luck = np.random.default_rng(self.seed)
        lost = luck.random(frames) < self.condition.lost
        lost[0] = False  # No frame is known to be missing before the first has arrived.
        is_late = luck.random(frames) < self.condition.reordered
        return lost, luck.uniform(*OVERTAKEN_SECONDS, frames) * is_late


def caller_to_model(mode: Mode, arrivals: Iterable[Arrival]) -> bytes:
    """Run the path to the model and return audio in the model's format. The last 2 ms stay in the
    filter until the next frame."""
    line, caller_audio = (
        TelnyxStream(mode.codec, ByteOrder.LITTLE),
        CallerAudioPath(mode.model_audio),
    )
    line.decode(_start(mode.codec))
    caller_audio.begin(mode.codec, mode.codec, now=0.0)
    caller_audio.start_forwarding()
    sent: list[BridgeCommand] = []
    for arrival in arrivals:
        sent += _overdue(caller_audio, arrival.at)
        event = line.decode(_media(arrival))
        assert isinstance(event, CallerAudio)
        sent += caller_audio.push(event.chunk, event.payload, arrival.at)
    sent += _overdue(caller_audio, math.inf)
    return b"".join(each.audio for each in sent if isinstance(each, AppendAudio))


def model_to_caller(mode: Mode, said: bytes) -> bytes:
    """Run the path to the caller and return audio in the line's codec. The model sends everything
    at once, and playout paces it."""
    line = TelnyxStream(mode.codec, ByteOrder.LITTLE)
    playout = Playout(mode.codec, MODEL_BYTES_PER_MS[mode.model_audio])
    speech = AgentAudio(playout, mode.model_audio, Transcript())
    for at in range(0, len(said), DELTA_BYTES):
        speech.receive_audio(AudioReceived("response", "item", 0, said[at : at + DELTA_BYTES]), 0.0)
    playout.finish("item")
    played, now = b"", 0.0
    while playout.is_speaking:
        for command in playout.due(now):
            if isinstance(command, PlayAudio):
                played += base64.b64decode(json.loads(line.encode(command))["media"]["payload"])
        playout.advance(now)
        now = playout.next_deadline() if playout.is_speaking else now
    return played


def _overdue(caller_audio: CallerAudioPath, until: float) -> Iterator[BridgeCommand]:
    while (deadline := caller_audio.next_deadline()) < NEVER and deadline <= until:
        yield from caller_audio.due(deadline)


def _frames(codec: Codec, sound: bytes) -> Iterator[bytes]:
    size = FRAME_MS * codec.bytes_per_ms
    return (sound[at : at + size] for at in range(0, len(sound), size))


def _start(codec: Codec) -> str:
    leg = {
        "call_control_id": "v3:leg",
        "media_format": {"encoding": codec.value, "sample_rate": codec.rate_hz, "channels": 1},
    }
    return json.dumps({"event": "start", "start": leg})


def _media(arrival: Arrival) -> str:
    chunk = {
        "track": "inbound",
        "chunk": str(arrival.chunk),
        "payload": base64.b64encode(arrival.payload).decode(),
    }
    return json.dumps({"event": "media", "media": chunk})
