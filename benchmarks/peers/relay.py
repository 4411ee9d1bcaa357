"""A minimal relay, as one writes it in an afternoon: asyncio, websockets, json, and no state.

G.711 passes through unchanged. For PCM at 24 kHz, numpy filters each frame. Lacks: tokens, records,
limits, pacing, truncation, reordering of frames, PCMA, and a check of `session.updated`.
"""

import argparse
import asyncio
import base64
import json
import os
from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray
from websockets.asyncio.client import ClientConnection, connect
from websockets.asyncio.server import ServerConnection, serve
from websockets.exceptions import ConnectionClosed

PCM24K = os.environ.get("MODEL_AUDIO", "pcm24k") == "pcm24k"
FORMAT = {"type": "audio/pcm", "rate": 24000} if PCM24K else {"type": "audio/pcmu"}
URL = f"{os.environ['OPENAI_REALTIME_URL']}?model=gpt-realtime-2.1-mini"
HEADERS = {"Authorization": f"Bearer {os.environ['OPENAI_API_KEY']}"}
SESSION = {
    "type": "realtime",
    "instructions": "You are a helpful assistant on the phone.",
    "audio": {
        "input": {"format": FORMAT, "turn_detection": {"type": "server_vad"}},
        "output": {"format": FORMAT, "voice": "marin"},
    },
}

Samples = NDArray[np.float64]
CODES = np.arange(256, dtype=np.uint8)


def mu_law_levels() -> NDArray[np.int16]:
    code = ~CODES.astype(np.int16)
    magnitude = (((code & 15) << 3) + 132 << (code >> 4 & 7)) - 132
    return np.where(code & 0x80, -magnitude, magnitude).astype(np.int16)


LEVELS = mu_law_levels()
LOW_PASS = np.sinc(np.arange(-24, 25) / 3) * np.hamming(49) / 3


def mu_law(samples: Samples) -> bytes:
    magnitude = np.minimum(np.abs(samples), 32_635).astype(np.int32) + 132
    exponent = np.log2(magnitude).astype(np.int32) - 7
    code = np.where(samples < 0, 0x80, 0) | exponent << 4 | magnitude >> exponent + 3 & 15
    return bytes((~code).astype(np.uint8))


class Filter:
    """Keeps the end of each piece as the beginning of the next."""

    def __init__(self) -> None:
        self._tail = np.zeros(len(LOW_PASS) - 1)

    def __call__(self, samples: Samples) -> Samples:
        stream = np.concatenate((self._tail, samples))
        self._tail = stream[-len(self._tail) :]
        return np.convolve(stream, LOW_PASS, "valid")


def upsampler() -> Callable[[bytes], bytes]:
    low_pass = Filter()

    def up(payload: bytes) -> bytes:
        spread = np.zeros(3 * len(payload))
        spread[::3] = LEVELS[np.frombuffer(payload, np.uint8)]
        return low_pass(3 * spread).clip(-32768, 32767).astype("<i2").tobytes()

    return up


def downsampler() -> Callable[[bytes], bytes]:
    low_pass = Filter()

    def down(pcm: bytes) -> bytes:
        return mu_law(low_pass(np.frombuffer(pcm, "<i2").astype(np.float64))[::3])

    return down


async def from_phone(phone: ServerConnection, model: ClientConnection) -> None:
    up = upsampler()
    async for text in phone:
        message = json.loads(text)
        if message["event"] == "media":
            payload = message["media"]["payload"]
            if PCM24K:
                payload = base64.b64encode(up(base64.b64decode(payload))).decode()
            await model.send(json.dumps({"type": "input_audio_buffer.append", "audio": payload}))
        elif message["event"] == "stop":
            return


async def from_model(model: ClientConnection, phone: ServerConnection) -> None:
    down = downsampler()
    async for text in model:
        event = json.loads(text)
        if event["type"] == "response.output_audio.delta":
            payload = event["delta"]
            if PCM24K:
                payload = base64.b64encode(down(base64.b64decode(payload))).decode()
            await phone.send(json.dumps({"event": "media", "media": {"payload": payload}}))
        elif event["type"] == "input_audio_buffer.speech_started":
            await phone.send(json.dumps({"event": "clear"}))


async def relay(phone: ServerConnection) -> None:
    async with connect(URL, additional_headers=HEADERS, max_size=None) as model:
        await model.send(json.dumps({"type": "session.update", "session": SESSION}))
        both: list[Any] = [from_phone(phone, model), from_model(model, phone)]
        try:
            await asyncio.gather(*both)
        except ConnectionClosed:
            return


async def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--port", type=int, required=True)
    async with serve(relay, "127.0.0.1", parser.parse_args().port) as server:
        await server.serve_forever()


if __name__ == "__main__":
    asyncio.run(main())
