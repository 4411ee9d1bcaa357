"""A client of the simulated model: the official SDK, and a check of every frame."""

import asyncio
import base64
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import numpy as np
from openai import AsyncOpenAI
from openai.resources.realtime.realtime import AsyncRealtimeConnection

from simulators.audio.g711 import A_LAW, MU_LAW
from simulators.audio.speech import CLIPS, Recognition, Samples, recognise, resample
from simulators.openai.server import OpenAISimulator
from simulators.openai.session import SimulatedSession
from tests.support.realtime_oracle import Frame, check_server
from tests.support.waiting import TIMEOUT_SECONDS

MODEL = "gpt-realtime-2.1-mini"
PCMU: Frame = {"type": "audio/pcmu"}
PCMA: Frame = {"type": "audio/pcma"}
PCM: Frame = {"type": "audio/pcm", "rate": 24000}


def session_settings(audio_format: Frame = PCMU, **turn_detection: Any) -> Frame:
    detection = {"type": "server_vad", "silence_duration_ms": 500, **turn_detection}
    return {
        "type": "realtime",
        "audio": {
            "input": {
                "format": audio_format,
                "transcription": {"model": "gpt-transcribe"},
                "turn_detection": detection,
            },
            "output": {"format": audio_format},
        },
    }


def encode(samples: Samples, audio_format: Frame) -> bytes:
    match audio_format["type"]:
        case "audio/pcmu":
            return MU_LAW.encode(samples)
        case "audio/pcma":
            return A_LAW.encode(samples)
        case _:
            return resample(samples, 8000, 24000).round().astype("<i2").tobytes()


def hear(audio: bytes, audio_format: Frame) -> Recognition:
    match audio_format["type"]:
        case "audio/pcmu":
            return recognise(MU_LAW.decode(audio))
        case "audio/pcma":
            return recognise(A_LAW.decode(audio))
        case _:
            return recognise(np.frombuffer(audio, "<i2"), 24000)


class Caller:
    """The official client. Every frame must match the SDK's own types."""

    def __init__(self, connection: AsyncRealtimeConnection, audio_format: Frame = PCMU) -> None:
        self.connection = connection
        self.audio_format = audio_format
        self.frames: list[Frame] = []

    async def receive(self) -> Frame:
        async with asyncio.timeout(TIMEOUT_SECONDS):
            frame: Frame = json.loads(await self.connection.recv_bytes())
        check_server(frame)
        self.frames.append(frame)
        return frame

    async def until(self, event_type: str) -> Frame:
        while (frame := await self.receive())["type"] != event_type:
            pass
        return frame

    async def send(self, **frame: Any) -> None:
        await self.connection.send_raw(json.dumps(frame))

    async def update(self, **session: Any) -> Frame:
        await self.send(type="session.update", session=session)
        return await self.until("session.updated")

    async def append(self, samples: Samples) -> None:
        """Append audio faster than real time. The server's detector counts samples, not seconds."""
        audio = encode(samples, self.audio_format)
        for begin in range(0, len(audio), 4001):
            piece = base64.b64encode(audio[begin : begin + 4001]).decode()
            await self.connection.input_audio_buffer.append(audio=piece)

    async def say(self, clip: str, then_silent_ms: int = 700) -> None:
        silence = np.zeros(then_silent_ms * 8, np.int16)
        await self.append(np.concatenate((CLIPS[clip].samples, silence)))

    async def refused(self, **frame: Any) -> Frame:
        await self.send(**frame)
        error: Frame = (await self.until("error"))["error"]
        return error

    def heard(self, response_id: str) -> Recognition:
        return hear(self.audio(response_id), self.audio_format)

    def audio(self, response_id: str) -> bytes:
        return b"".join(
            base64.b64decode(frame["delta"])
            for frame in self.frames
            if frame["type"] == "response.output_audio.delta"
            and frame["response_id"] == response_id
        )

    def types(self) -> list[str]:
        return [frame["type"] for frame in self.frames]


@asynccontextmanager
async def simulated(**options: Any) -> AsyncIterator[OpenAISimulator]:
    async with OpenAISimulator(**{"burst": 200.0, "think_ms": 1} | options) as simulator:
        yield simulator


@asynccontextmanager
async def calling(
    simulator: OpenAISimulator, model: str = MODEL, key: str = "sk-test"
) -> AsyncIterator[Caller]:
    base_url = simulator.url.removesuffix("/realtime")
    async with (
        AsyncOpenAI(api_key=key, websocket_base_url=base_url) as client,
        client.realtime.connect(model=model) as connection,
    ):
        yield Caller(connection)


@asynccontextmanager
async def in_session(audio_format: Frame = PCMU, **options: Any) -> AsyncIterator[Caller]:
    async with simulated(**options) as simulator, calling(simulator) as caller:
        caller.audio_format = audio_format
        await caller.update(**session_settings(audio_format))
        yield caller


@asynccontextmanager
async def both_sides(**options: Any) -> AsyncIterator[tuple[Caller, SimulatedSession]]:
    async with simulated(**options) as simulator, calling(simulator) as caller:
        await caller.update(**session_settings())
        yield caller, simulator.sessions[0]
