"""A bare copy loop on picows under uvloop, as the lower bound. It parses nothing: it cuts the
base64 out of one message and puts it into the other. For PCM at 24 kHz it uses the resamplers of
the bridge.

Lacks everything else. No bridge in Python can be cheaper without leaving Python.
"""

import argparse
import asyncio
import os
from binascii import a2b_base64, b2a_base64
from typing import Any

import uvloop
from picows import (
    WSFrame,
    WSListener,
    WSMsgType,
    WSTransport,
    WSUpgradeRequest,
    ws_connect,
    ws_create_server,
)

from media_bridge.audio.codecs import Codec
from media_bridge.audio.converters import Converter, ModelToTelephone, TelephoneToModel

PCM24K = os.environ.get("MODEL_AUDIO", "pcm24k") == "pcm24k"
FORMAT = b'{"type":"audio/pcm","rate":24000}' if PCM24K else b'{"type":"audio/pcmu"}'
UPDATE = (
    b'{"type":"session.update","session":{"type":"realtime","audio":{"input":{"format":%b},'
    b'"output":{"format":%b}}}}' % (FORMAT, FORMAT)
)
APPEND = b'{"type":"input_audio_buffer.append","audio":"%b"}'
MEDIA = b'{"event":"media","media":{"payload":"%b"}}'
CLEAR = b'{"event":"clear"}'


class Phone(WSListener):
    def __init__(self) -> None:
        self.transport: WSTransport | None = None
        self._model: WSTransport | None = None
        self._up: Converter | None = TelephoneToModel(Codec.PCMU) if PCM24K else None

    def on_ws_connected(self, transport: WSTransport) -> None:
        self.transport = transport
        loop = asyncio.get_running_loop()
        self._connecting = loop.create_task(self._connect())

    async def _connect(self) -> None:
        url = f"{os.environ['OPENAI_REALTIME_URL']}?model=floor"
        self._model, _ = await ws_connect(lambda: Model(self), url)
        self._model.send(WSMsgType.TEXT, UPDATE)

    def on_ws_frame(self, transport: WSTransport, frame: WSFrame) -> None:
        message = frame.get_payload_as_bytes()
        begin = message.find(b'"payload":"') + 11
        if begin > 10 and self._model:
            payload = message[begin : message.find(b'"', begin)]
            if self._up:
                payload = b2a_base64(self._up.feed(a2b_base64(payload)), newline=False)
            self._model.send(WSMsgType.TEXT, APPEND % payload)

    def on_ws_disconnected(self, transport: WSTransport) -> None:
        if self._model:
            self._model.disconnect()


class Model(WSListener):
    def __init__(self, phone: Phone) -> None:
        self._phone = phone
        self._down: Converter | None = ModelToTelephone(Codec.PCMU) if PCM24K else None

    def on_ws_frame(self, transport: WSTransport, frame: WSFrame) -> None:
        phone = self._phone.transport
        message = frame.get_payload_as_bytes()
        if phone is None:
            return
        if b'"response.output_audio.delta"' in message:
            begin = message.find(b'"delta":"') + 9
            payload = message[begin : message.find(b'"', begin)]
            if self._down:
                payload = b2a_base64(self._down.feed(a2b_base64(payload)), newline=False)
            phone.send(WSMsgType.TEXT, MEDIA % payload)
        elif b"speech_started" in message:
            phone.send(WSMsgType.TEXT, CLEAR)


async def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--port", type=int, required=True)

    def answer(_: WSUpgradeRequest) -> Any:
        return Phone()

    server = await ws_create_server(answer, "127.0.0.1", parser.parse_args().port)
    await server.serve_forever()


if __name__ == "__main__":
    uvloop.run(main())
