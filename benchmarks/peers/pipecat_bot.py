"""Pipecat with its FastAPI socket, its Telnyx serializer and its OpenAI Realtime service.

As in Pipecat's Telnyx and Realtime examples, it uses an 8 kHz pipeline and a context for each call,
and the model detects the turns. Left out in its favour: debug log, metrics, and RTVI, which phones
do not use.

Lacks: G.711 at the model, because the service appends PCM at 24 kHz whatever format the session
names. It does not reorder frames. A delta that ends in half a sample is an error and is not played.
"""

import sys

from loguru import logger
from peer import INSTRUCTIONS, LINE_RATE_HZ, Model, serve
from pipecat.frames.frames import LLMRunFrame
from pipecat.pipeline.pipeline import Pipeline
from pipecat.pipeline.worker import PipelineParams, PipelineWorker
from pipecat.processors.aggregators.llm_context import LLMContext
from pipecat.processors.aggregators.llm_response_universal import (
    LLMContextAggregatorPair,
    LLMUserAggregatorParams,
)
from pipecat.runner.utils import parse_telephony_websocket
from pipecat.serializers.telnyx import TelnyxFrameSerializer
from pipecat.services.openai.realtime.events import (
    AudioConfiguration,
    AudioInput,
    InputAudioTranscription,
    SessionProperties,
    TurnDetection,
)
from pipecat.services.openai.realtime.llm import OpenAIRealtimeLLMService
from pipecat.transports.websocket.fastapi import FastAPIWebsocketParams, FastAPIWebsocketTransport
from pipecat.turns.user_turn_strategies import ExternalUserTurnStrategies
from pipecat.workers.runner import WorkerRunner
from starlette.websockets import WebSocket


async def answer(phone: WebSocket, model: Model) -> None:
    await phone.accept()
    transport = await _transport(phone)
    # The service recommends these too, but by then each call has loaded a local turn model.
    turns = LLMUserAggregatorParams(user_turn_strategies=ExternalUserTurnStrategies())
    user, assistant = LLMContextAggregatorPair(LLMContext(), user_params=turns)
    pipeline = Pipeline([transport.input(), user, _service(model), transport.output(), assistant])
    rates = PipelineParams(audio_in_sample_rate=LINE_RATE_HZ, audio_out_sample_rate=LINE_RATE_HZ)
    worker = PipelineWorker(pipeline, params=rates, enable_rtvi=False)

    async def greet(*_: object) -> None:
        await worker.queue_frames([LLMRunFrame()])

    async def end(*_: object) -> None:
        await worker.cancel()

    transport.add_event_handler("on_client_connected", greet)
    transport.add_event_handler("on_client_disconnected", end)
    runner = WorkerRunner(handle_sigint=False)
    await runner.add_workers(worker)
    await runner.run()


async def _transport(phone: WebSocket) -> FastAPIWebsocketTransport:
    _, call = await parse_telephony_websocket(phone)
    serializer = TelnyxFrameSerializer(
        stream_id=call.stream_id,
        outbound_encoding=call.outbound_encoding,
        inbound_encoding="PCMU",
        # To hang up, it would need the address of Telnyx's REST API, which cannot be set.
        params=TelnyxFrameSerializer.InputParams(auto_hang_up=False),
    )
    params = FastAPIWebsocketParams(
        audio_in_enabled=True, audio_out_enabled=True, serializer=serializer
    )
    return FastAPIWebsocketTransport(websocket=phone, params=params)


def _service(model: Model) -> OpenAIRealtimeLLMService:
    listening = AudioInput(transcription=InputAudioTranscription(), turn_detection=TurnDetection())
    return OpenAIRealtimeLLMService(
        api_key=model.api_key,
        base_url=model.url,
        settings=OpenAIRealtimeLLMService.Settings(
            model=model.name,
            system_instruction=INSTRUCTIONS,
            session_properties=SessionProperties(audio=AudioConfiguration(input=listening)),
        ),
    )


if __name__ == "__main__":
    logger.remove()
    logger.add(sys.stderr, level="WARNING")
    serve(answer, audio="pcm24k")
