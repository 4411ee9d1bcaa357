"""The end of a response on the Realtime wire: its status, its cost and what it calls.

Source: OpenAI API reference, "Realtime server events", `response.done`.
"""

from typing import Any

import msgspec

from media_bridge import events
from media_bridge.openai import items, realtime, tolerant, tools, transcripts
from media_bridge.openai.retry_delay import retry_delay
from media_bridge.scrubbing import scrub
from phonebridge.call.usage import Usage


def to_response_ended(response: realtime.Response, response_id: str) -> events.ResponseEnded:
    output = items.read_all(response.output)
    said = (transcripts.agent_transcript_in(item, response_id) for item in output)
    details = tolerant.read(bytes(response.status_details), _DETAILS)
    return events.ResponseEnded(
        response_id=response_id,
        status=response.status or "completed",
        detail=_detail(details),
        usage=_usage_of(response),
        calls=tools.calls_in(output, response_id),
        transcripts=tuple(filter(None, said)),
        retry_after=_delay(details),
    )


class _StatusError(msgspec.Struct):
    type: str | None = None
    code: str | None = None
    message: str | None = None
    retry_after: Any = None
    retry_after_ms: Any = None


class _StatusDetails(msgspec.Struct):
    reason: str | None = None
    error: _StatusError | None = None


_DETAILS: msgspec.json.Decoder[_StatusDetails | str | None] = msgspec.json.Decoder(
    _StatusDetails | str | None
)


def _detail(details: "_StatusDetails | str | None") -> str:
    """`status_details` is an object in the reference; some servers have sent a string or null."""
    if isinstance(details, _StatusDetails):
        error = details.error or _StatusError()
        known = (details.reason, error.code or error.type, error.message)
        return scrub(": ".join(part for part in known if part))
    return scrub(details or "")


def _delay(details: "_StatusDetails | str | None") -> float | None:
    if not isinstance(details, _StatusDetails):
        return retry_delay(details)
    error = details.error or _StatusError()
    return retry_delay(error.message, error.retry_after, error.retry_after_ms)


def read_raw(raw: msgspec.Raw, kind: Any) -> Any:
    """Return None for null, and for what is of another type."""
    try:
        return msgspec.json.decode(raw, type=kind | None)
    except (ValueError, RecursionError):
        return None


def _usage_of(response: realtime.Response) -> Usage:
    usage: realtime.ResponseUsage | None = read_raw(response.usage, realtime.ResponseUsage)
    if usage is None or usage.input_token_details is None:
        # One that failed before it began costs nothing, and has no count.
        return Usage(responses=1, uncounted=0 if response.status == "failed" else 1)
    inputs = usage.input_token_details
    cached = inputs.cached_tokens_details or realtime.TextTokens()
    spoken = usage.output_token_details or realtime.TextTokens()
    return Usage(
        input_text=_count(inputs.text_tokens),
        input_audio=_count(inputs.audio_tokens),
        cached_text=_count(cached.text_tokens),
        cached_audio=_count(cached.audio_tokens),
        output_text=_count(spoken.text_tokens),
        output_audio=_count(spoken.audio_tokens),
        responses=1,
        cache_unknown=int(inputs.cached_tokens_details is None and inputs.cached_tokens != 0),
    )


def _count(tokens: int | None) -> int:
    return tokens or 0
