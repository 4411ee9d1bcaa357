"""The OpenAI plugin of LiveKit Agents behind a small Telnyx shim, without a LiveKit server or room.

Its RealtimeModel and RealtimeSession handle the model's side. The shim converts G.711 and resamples
to 8 kHz with LiveKit's own resampler. On a barge-in it does what AgentSession does: interrupt,
clear, truncate. In its favour, all calls share one process. LiveKit's workers use one per call.

Lacks: G.711 at the model (its formats are fixed to PCM at 24 kHz) and appends shorter than 100 ms.
It drops deltas that end in half a sample, with an error. It has no Telnyx transport, because
LiveKit uses SIP. The shim lacks PCMA, pacing, reordering of frames, and chunks of at least 20 ms.
"""

import asyncio
import audioop
import base64
import json

from livekit import rtc
from livekit.agents import llm
from livekit.plugins.openai.realtime import RealtimeModel, RealtimeSession
from openai.types.realtime.realtime_audio_input_turn_detection import ServerVad
from peer import INSTRUCTIONS, LINE_RATE_HZ, MODEL_RATE_HZ, Model, serve
from starlette.websockets import WebSocket

SAMPLE_BYTES = 2


async def answer(phone: WebSocket, model: Model) -> None:
    await phone.accept()
    realtime = RealtimeModel(
        model=model.name,
        base_url=model.url,
        api_key=model.api_key,
        turn_detection=ServerVad(type="server_vad"),
    )
    async with realtime, asyncio.TaskGroup() as tasks:
        session = realtime.session()
        call = Call(phone, session, tasks)
        await session.update_instructions(INSTRUCTIONS)
        session.generate_reply()  # comes as any other generation
        await call.listen()
        await session.aclose()


class Call:
    def __init__(
        self, phone: WebSocket, session: RealtimeSession, tasks: asyncio.TaskGroup
    ) -> None:
        self._phone = phone
        self._session = session
        self._tasks = tasks
        self._speaking: asyncio.Task[None] | None = None
        self._message_id: str | None = None
        self._sent_seconds = 0.0
        self._began_at = 0.0
        session.on("generation_created", self._begin)
        session.on("input_speech_started", self._interrupt)

    async def listen(self) -> None:
        async for text in self._phone.iter_text():
            message = json.loads(text)
            match message["event"]:
                case "media":
                    payload = base64.b64decode(message["media"]["payload"])
                    pcm = audioop.ulaw2lin(payload, SAMPLE_BYTES)
                    self._session.push_audio(rtc.AudioFrame(pcm, LINE_RATE_HZ, 1, len(payload)))
                case "stop":
                    return

    def _begin(self, generation: llm.GenerationCreatedEvent) -> None:
        self._speaking = self._tasks.create_task(self._speak(generation))

    async def _speak(self, generation: llm.GenerationCreatedEvent) -> None:
        async for message in generation.message_stream:
            self._message_id = message.message_id
            self._sent_seconds = 0.0
            resampler = rtc.AudioResampler(MODEL_RATE_HZ, LINE_RATE_HZ)
            async for frame in message.audio_stream:
                await self._play(resampler.push(frame))
            await self._play(resampler.flush())

    async def _play(self, frames: list[rtc.AudioFrame]) -> None:
        for frame in frames:
            if not self._sent_seconds:
                self._began_at = asyncio.get_running_loop().time()
            self._sent_seconds += frame.duration
            payload = base64.b64encode(audioop.lin2ulaw(frame.data, SAMPLE_BYTES)).decode()
            await self._send({"event": "media", "media": {"payload": payload}})

    def _interrupt(self, _: llm.InputSpeechStartedEvent) -> None:
        if self._speaking is None or self._message_id is None:
            return
        self._session.interrupt()
        self._speaking.cancel()
        self._tasks.create_task(self._send({"event": "clear"}))
        heard_seconds = asyncio.get_running_loop().time() - self._began_at
        if heard_seconds < self._sent_seconds:
            self._session.truncate(
                message_id=self._message_id,
                modalities=["audio"],
                audio_end_ms=round(heard_seconds * 1000),
            )
        self._speaking = None

    async def _send(self, message: dict[str, object]) -> None:
        await self._phone.send_text(json.dumps(message))


if __name__ == "__main__":
    serve(answer, audio="pcm24k")
