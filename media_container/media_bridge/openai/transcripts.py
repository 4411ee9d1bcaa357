"""Transcripts of the Realtime protocol: the words of the caller and of the agent.

Sources: OpenAI API reference, "Realtime server events". The caller's words come from a separate
model, at any time after the sound, or never. The agent's words usually come before the sound. Some
servers send them only at the end of an item or of its response.
"""

from typing import Any

import msgspec
from msgspec import Raw, Struct

from media_bridge import events
from media_bridge.openai.items import ConversationItem
from phonebridge.call.usage import Usage

MAX_SPEECH_SECONDS = 86_400.0


class _ServerEvent(Struct, frozen=True, gc=False, tag_field="type"):
    pass


class AudioCommitted(_ServerEvent, frozen=True, tag="input_audio_buffer.committed"):
    item_id: str


class TranscriptionDelta(
    _ServerEvent, frozen=True, tag="conversation.item.input_audio_transcription.delta"
):
    delta: str
    item_id: str = ""
    content_index: int = 0


class TranscriptionCompleted(
    _ServerEvent, frozen=True, tag="conversation.item.input_audio_transcription.completed"
):
    item_id: str = ""
    transcript: str | None = None
    usage: Raw = Raw(b"null")


class TranscriptionFailed(
    _ServerEvent, frozen=True, tag="conversation.item.input_audio_transcription.failed"
):
    item_id: str = ""


class OutputAudioTranscriptDelta(
    _ServerEvent, frozen=True, tag="response.output_audio_transcript.delta"
):
    delta: str
    response_id: str = ""
    item_id: str = ""
    content_index: int = 0


class OutputAudioTranscriptDone(
    _ServerEvent, frozen=True, tag="response.output_audio_transcript.done"
):
    transcript: str
    response_id: str = ""
    item_id: str = ""
    content_index: int = 0


TranscriptEvent = (
    AudioCommitted
    | TranscriptionDelta
    | TranscriptionCompleted
    | TranscriptionFailed
    | OutputAudioTranscriptDelta
    | OutputAudioTranscriptDone
)


class _Usage(Struct, frozen=True):
    """The usage counts tokens or seconds, depending on the transcription model."""

    input_tokens: int | None = None
    output_tokens: int | None = None
    seconds: float | None = None


def to_event(event: TranscriptEvent, response_id: str) -> events.ModelEvent:
    """Translate an event. `response_id` is the response to which it belongs if it names none."""
    match event:
        case OutputAudioTranscriptDelta(delta, of, item_id, index):
            response_id = of or response_id
            return events.TranscriptReceived(response_id, item_id or response_id, delta, index)
        case OutputAudioTranscriptDone(transcript, of, item_id, index):
            response_id = of or response_id
            return events.TranscriptFinished(response_id, item_id or response_id, transcript, index)
        case _:
            return _to_caller_event(event)


def _to_caller_event(
    event: AudioCommitted | TranscriptionDelta | TranscriptionCompleted | TranscriptionFailed,
) -> events.ModelEvent:
    match event:
        case AudioCommitted(item_id):
            return events.CallerAudioCommitted(item_id)
        case TranscriptionDelta(delta, item_id, index):
            return events.CallerTranscriptReceived(item_id, delta, index)
        case TranscriptionCompleted(item_id, transcript, usage):
            return events.CallerTranscribed(item_id, transcript or "", _usage_of(usage))
        case TranscriptionFailed(item_id):
            return events.CallerTranscribed(item_id, "")


def agent_transcript_in(
    item: ConversationItem | None, response_id: str
) -> events.TranscriptFinished | None:
    """Return what the agent says in an item that is done."""
    match item:
        case ConversationItem(type="message", id=str(item_id), transcript=text) if text:
            return events.TranscriptFinished(response_id, item_id, text)
        case _:
            return None


def caller_transcript_in(item: ConversationItem | None) -> events.CallerTranscribed | None:
    """Return what the caller said in an item. It is rarely known when the item is done."""
    match item:
        case ConversationItem(type="message", role="user", id=str(item_id), transcript=text) if (
            text
        ):
            return events.CallerTranscribed(item_id, text)
        case _:
            return None


def _usage_of(raw: Raw) -> Usage:
    try:
        usage: Any = msgspec.json.decode(raw, type=_Usage | None)
    except (ValueError, RecursionError):
        usage = None
    if usage is None:
        return Usage()
    return Usage(
        transcribed_input=usage.input_tokens or 0,
        transcribed_output=usage.output_tokens or 0,
        transcribed_ms=round(_credible(usage.seconds) * 1000),
    )


def _credible(seconds: float | None) -> float:
    """Return zero for a time that no speech can have. It could not be stored, or even rounded."""
    return seconds if seconds is not None and 0 <= seconds <= MAX_SPEECH_SECONDS else 0.0
