"""What the peers share: the command line, the model's settings, and the address of the media
socket.

Their counterparts are a Telnyx media stream and the Realtime server of OPENAI_REALTIME_URL.
"""

import argparse
import os
import sys
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Literal

import uvicorn
from starlette.applications import Starlette
from starlette.routing import WebSocketRoute
from starlette.websockets import WebSocket

LINE_RATE_HZ = 8_000
MODEL_RATE_HZ = 24_000
INSTRUCTIONS = "You answer the phone of a dental practice: greet first, be brief."

Audio = Literal["g711", "pcm24k"]


@dataclass(frozen=True, slots=True)
class Model:
    url: str
    """Address without the query, which names the model: each peer adds its own."""
    api_key: str
    name: str


def serve(answer: Callable[[WebSocket, Model], Awaitable[None]], audio: Audio) -> None:
    """Answer calls until SIGTERM. `audio` is the only format in which the peer talks to a model."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--port", type=int, required=True)
    port = parser.parse_args().port
    asked = os.environ.get("MODEL_AUDIO", audio)
    if asked != audio:
        sys.exit(f"refused: {parser.prog} supports only {audio} audio to the model, not {asked}")
    model = Model(
        url=os.environ["OPENAI_REALTIME_URL"],
        api_key=os.environ["OPENAI_API_KEY"],
        name=os.environ.get("OPENAI_MODEL", "gpt-realtime-2.1-mini"),
    )

    async def take_call(phone: WebSocket) -> None:
        await answer(phone, model)

    app = Starlette(routes=[WebSocketRoute("/media-bridge/{call_id}/{stream}", take_call)])
    uvicorn.run(app, port=port, log_level="warning")
