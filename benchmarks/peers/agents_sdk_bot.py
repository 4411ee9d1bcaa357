"""The realtime session of the OpenAI Agents SDK, used as in the SDK's Twilio example, with Telnyx's
frames.

As in the example, it gathers 50 ms before each append and forwards every delta as one message. A
mark for the playback tracker follows each of them. Left out in its favour: tracing, prints, and the
start buffer and idle flush of the example. A line without pauses does not need the last two.

Lacks: PCM at 24 kHz on a phone line, because it neither resamples nor knows G.711. It has no PCMA,
because its session is open before Telnyx names the codec. It also lacks pacing, reordering of
frames, and chunks of at least the 20 ms that Telnyx requires.
"""

import asyncio
import base64
import json

from agents.realtime import (
    RealtimeAgent,
    RealtimeAudio,
    RealtimeAudioInterrupted,
    RealtimeModelSendRawMessage,
    RealtimePlaybackTracker,
    RealtimeRunner,
    RealtimeSession,
)
from peer import INSTRUCTIONS, LINE_RATE_HZ, Model, serve
from starlette.websockets import WebSocket

APPEND_BYTES = LINE_RATE_HZ * 50 // 1000


async def answer(phone: WebSocket, model: Model) -> None:
    playback = RealtimePlaybackTracker()
    async with await _session(model, playback) as session:
        await phone.accept()
        await session.model.send_event(RealtimeModelSendRawMessage({"type": "response.create"}))
        call = Call(phone, session, playback)
        async with asyncio.TaskGroup() as directions:
            speaking = directions.create_task(call.speak())
            await call.listen()
            speaking.cancel()


async def _session(model: Model, playback: RealtimePlaybackTracker) -> RealtimeSession:
    agent = RealtimeAgent(name="Phone", instructions=INSTRUCTIONS)
    return await RealtimeRunner(agent, config={"tracing_disabled": True}).run(
        model_config={
            "url": f"{model.url}?model={model.name}",
            "api_key": model.api_key,
            "playback_tracker": playback,
            "initial_model_settings": {
                "model_name": model.name,
                "input_audio_format": "g711_ulaw",
                "output_audio_format": "g711_ulaw",
                "turn_detection": {"type": "server_vad", "interrupt_response": True},
            },
        }
    )


class Call:
    def __init__(
        self, phone: WebSocket, session: RealtimeSession, playback: RealtimePlaybackTracker
    ) -> None:
        self._phone = phone
        self._session = session
        self._playback = playback
        self._gathered = bytearray()
        self._marks: dict[str, tuple[str, int, bytes]] = {}
        self._marks_sent = 0

    async def listen(self) -> None:
        async for text in self._phone.iter_text():
            message = json.loads(text)
            match message["event"]:
                case "media":
                    await self._hear(base64.b64decode(message["media"]["payload"]))
                case "mark":
                    played = self._marks.pop(message["mark"]["name"], None)
                    if played:
                        self._playback.on_play_bytes(*played)
                case "stop":
                    return

    async def _hear(self, audio: bytes) -> None:
        self._gathered += audio
        if len(self._gathered) >= APPEND_BYTES:
            await self._session.send_audio(bytes(self._gathered))
            self._gathered.clear()

    async def speak(self) -> None:
        async for event in self._session:
            match event:
                case RealtimeAudio(audio=audio, item_id=item_id, content_index=content_index):
                    await self._play(item_id, content_index, audio.data)
                case RealtimeAudioInterrupted():
                    await self._send({"event": "clear"})

    async def _play(self, item_id: str, content_index: int, audio: bytes) -> None:
        payload = base64.b64encode(audio).decode()
        await self._send({"event": "media", "media": {"payload": payload}})
        self._marks_sent += 1
        name = str(self._marks_sent)
        self._marks[name] = (item_id, content_index, audio)
        await self._send({"event": "mark", "mark": {"name": name}})

    async def _send(self, message: dict[str, object]) -> None:
        await self._phone.send_text(json.dumps(message))


if __name__ == "__main__":
    serve(answer, audio="g711")
