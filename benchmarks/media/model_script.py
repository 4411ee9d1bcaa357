"""The turns of the simulated model, prepared as events: from the caller's first word to
`response.done`.

A character that base64 does not contain marks the place of the call and the turn in ids.
"""

import base64
from collections.abc import Iterator
from dataclasses import dataclass
from enum import Enum, auto
from typing import TypedDict

import msgspec

from benchmarks.media.sound import FORMATS, LINE_BYTES_PER_MS, agent_speech
from phonebridge.settings import ModelAudio
from simulators.openai import wire
from simulators.openai.response import DELTA_8KHZ_SAMPLES
from simulators.openai.settings import Pcm, Pcmu

TURN_MS = 8_000
SPEECH_MS = 4_000
BURST = 10
"""Speed of generation relative to real time, as with the real model."""
SPEECH_STOPPED_MS = 700
TRANSCRIBED_MS = 720
RESPONSE_MS = 750
FIRST_DELTA_MS = 800
INTERRUPTED_EVERY = 3
"""Every turn with this number is interrupted."""
INTERRUPTED_AT_MS = FIRST_DELTA_MS + 1_500

PLACEHOLDER = "~"
USER, AGENT, RESPONSE = f"item_u{PLACEHOLDER}", f"item_a{PLACEHOLDER}", f"resp_{PLACEHOLDER}"


class _Place(TypedDict):
    response_id: str
    item_id: str
    output_index: int
    content_index: int


_PLACE = _Place(response_id=RESPONSE, item_id=AGENT, output_index=0, content_index=0)
_WORDS = ("The practice ", "is open ", "on weekdays ", "from nine ", "to five. ")


class Kind(Enum):
    PLAIN = auto()
    SPEECH_STARTED = auto()
    FIRST_AUDIO = auto()


@dataclass(frozen=True, slots=True)
class Scripted:
    at_ms: float
    payload: bytes
    kind: Kind = Kind.PLAIN

    def named_payload(self, turn_name: bytes) -> bytes:
        return self.payload.replace(PLACEHOLDER.encode(), turn_name)


def lasts_ms(turn: int) -> int:
    """Milliseconds until the next turn begins. The caller does not wait for the end of every
    answer."""
    return INTERRUPTED_AT_MS if is_interrupted(turn) else TURN_MS


def is_interrupted(turn: int) -> bool:
    return turn % INTERRUPTED_EVERY == INTERRUPTED_EVERY - 1


def script(audio: ModelAudio) -> tuple[Scripted, ...]:
    return (*_caller_speaks(), *_answer_begins(audio), *_answer(audio))


def _caller_speaks() -> Iterator[Scripted]:
    usage = wire.TranscriptionTokenUsage("tokens", 20, 15, wire.TranscriptionInputTokens(0, 15), 5)
    content = [wire.Content("input_audio", transcript=None)]
    item = wire.ConversationMessage(id=USER, status="completed", role="user", content=content)
    started = wire.SpeechStartedEvent(audio_start_ms=0, item_id=USER)
    yield _script_event(0, started, Kind.SPEECH_STARTED)
    yield _script_event(SPEECH_STOPPED_MS, wire.SpeechStoppedEvent(audio_end_ms=0, item_id=USER))
    yield _script_event(SPEECH_STOPPED_MS, wire.CommittedEvent(previous_item_id=None, item_id=USER))
    yield _script_event(SPEECH_STOPPED_MS, wire.ItemAddedEvent(previous_item_id=None, item=item))
    yield _script_event(SPEECH_STOPPED_MS, wire.ItemDoneEvent(previous_item_id=None, item=item))
    yield _script_event(
        TRANSCRIBED_MS,
        wire.TranscriptionCompletedEvent(
            item_id=USER, content_index=0, transcript="When are you open?", usage=usage
        ),
    )


def _answer_begins(audio: ModelAudio) -> Iterator[Scripted]:
    item = wire.ConversationMessage(id=AGENT, status="in_progress", role="assistant", content=[])
    part = wire.ResponseContentPart("audio", transcript="")
    yield _script_event(RESPONSE_MS, wire.ResponseCreatedEvent(response=_response(audio)))
    yield _script_event(
        RESPONSE_MS, wire.OutputItemAddedEvent(response_id=RESPONSE, output_index=0, item=item)
    )
    yield _script_event(RESPONSE_MS, wire.ItemAddedEvent(previous_item_id=USER, item=item))
    yield _script_event(RESPONSE_MS, wire.ContentPartAdded(**_PLACE, part=part))


def _answer(audio: ModelAudio) -> Iterator[Scripted]:
    kind = Kind.FIRST_AUDIO
    spoken_ms = 0.0
    for number, piece in enumerate(_pieces(audio)):
        at_ms = FIRST_DELTA_MS + spoken_ms / BURST
        delta = base64.b64encode(piece).decode()
        yield _script_event(at_ms, wire.AudioDelta(**_PLACE, delta=delta), kind)
        kind = Kind.PLAIN
        spoken_ms += len(piece) / FORMATS[audio].bytes_per_ms
        if number < len(_WORDS):
            words = wire.AudioTranscriptDelta(
                **_PLACE, delta=_WORDS[number], obfuscation=wire.padding()
            )
            yield _script_event(at_ms, words)
    yield from _answer_ends(audio, FIRST_DELTA_MS + SPEECH_MS / BURST)


def _answer_ends(audio: ModelAudio, at_ms: float) -> Iterator[Scripted]:
    said = "".join(_WORDS)
    content = [wire.Content("output_audio", transcript=said)]
    item = wire.ConversationMessage(id=AGENT, status="completed", role="assistant", content=content)
    response = _response(audio)
    response.status = "completed"
    response.output = [item]
    response.usage = wire.RealtimeUsage(
        150,
        100,
        50,
        wire.InputTokenDetails(20, 80, 0, wire.CachedTokens(0, 0)),
        wire.OutputTokenDetails(10, 40),
    )
    part = wire.ResponseContentPart("audio", transcript=said)
    yield _script_event(at_ms, wire.AudioDone(**_PLACE))
    yield _script_event(at_ms, wire.AudioTranscriptDone(**_PLACE, transcript=said))
    yield _script_event(at_ms, wire.ContentPartDone(**_PLACE, part=part))
    yield _script_event(at_ms, wire.ItemDoneEvent(previous_item_id=USER, item=item))
    yield _script_event(
        at_ms, wire.OutputItemDoneEvent(response_id=RESPONSE, output_index=0, item=item)
    )
    yield _script_event(at_ms, wire.ResponseDoneEvent(response=response))


def _pieces(audio: ModelAudio) -> Iterator[bytes]:
    speech = agent_speech(audio, SPEECH_MS)
    bytes_per_sample = FORMATS[audio].bytes_per_ms // LINE_BYTES_PER_MS
    begin = number = 0
    while begin < len(speech):
        samples = DELTA_8KHZ_SAMPLES[number % len(DELTA_8KHZ_SAMPLES)]
        end = begin + samples * bytes_per_sample
        yield speech[begin:end]
        begin, number = end, number + 1


def _response(audio: ModelAudio) -> wire.RealtimeResponse:
    spoken = Pcmu() if audio is ModelAudio.G711 else Pcm()
    return wire.RealtimeResponse(
        id=RESPONSE,
        conversation_id="conv_benchmark",
        output_modalities=["audio"],
        max_output_tokens="inf",
        audio=wire.ResponseAudio(wire.ResponseAudioOutput(spoken, "marin")),
        metadata=None,
    )


def _script_event(at_ms: float, event: wire.ServerEvent, kind: Kind = Kind.PLAIN) -> Scripted:
    return Scripted(at_ms, msgspec.json.encode(event), kind)
