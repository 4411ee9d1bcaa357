"""The whole record of a call as the HTTP API answers it."""

from collections.abc import Callable
from datetime import datetime
from typing import Annotated

from pydantic import Field

import prices
from agent_answers import Config
from api_answers import ApiAnswer, CallSummary, moment, moment_if_any, summary
from phonebridge import recording
from phonebridge.call import Call
from phonebridge.notice import Notice, NoticeState
from phonebridge.ports import TimelineEntry
from phonebridge.recording import RecordingState
from phonebridge.store import CallRecord
from phonebridge.turn import Speaker


class Latency(ApiAnswer):
    """What an answer waited for, one after the other (docs/record.md)."""

    detector_ms: int | None
    response_ms: int
    model_ms: int
    bridge_ms: int


class Turn(ApiAnswer):
    number: int
    who: Speaker
    text: str
    started_ms: int
    ended_ms: int
    interrupted: bool
    unheard: Annotated[str, Field(description="The words that an interruption cut off.")]
    partial: Annotated[
        bool, Field(description="The final transcript never came: words may be missing.")
    ]
    latency_ms: int | None
    latency: Latency | None


class TimelineItem(ApiAnswer):
    at: datetime
    what: str
    detail: str


class Fault(ApiAnswer):
    reason: str
    detail: str


class Transfer(ApiAnswer):
    """The latest attempt to hand the caller over."""

    number: int
    to: str
    warm: bool
    connected: Annotated[bool, Field(description="Whether the caller was put through.")]
    end: Annotated[str, Field(description="Why that failed, or how the target's leg ended.")]


class Usage(ApiAnswer):
    """Tokens of all responses; cached counts are part of the input counts. The caller's
    transcription has counts of its own, of tokens or of time."""

    input_text: int
    input_audio: int
    cached_text: int
    cached_audio: int
    output_text: int
    output_audio: int
    responses: int
    transcribed_input: int
    transcribed_output: int
    transcribed_ms: int


class Cost(ApiAnswer):
    """By list prices of a day; null is what cannot be told, and `notes` say why."""

    currency: str
    model: float | None
    transcription: float | None
    carrier: float | None
    total: Annotated[float | None, Field(description="Of those parts that can be told.")]
    prices_as_of: str
    notes: list[str]


class Activity(ApiAnswer):
    interruptions: int
    frames_in: int
    frames_out: int
    frames_lost: int
    first_audio_ms: int | None
    turn_latency_ms: int | None


class Recording(ApiAnswer):
    """A copy of what the carrier recorded; `url` lives for a quarter of an hour."""

    id: str
    state: RecordingState
    format: str
    channels: str
    duration_seconds: float | None
    size_bytes: int | None
    problem: str
    url: str | None


class OutcomeWebhook(ApiAnswer):
    """Whether the user's server has heard of the end of the call."""

    event_id: str
    state: NoticeState
    attempts: int
    changed_at: datetime
    problem: str


class Message(ApiAnswer):
    """What the caller left for somebody (`take_message`)."""

    number: int
    text: str
    name: str
    phone: str
    taken_ms: int


class WholeCall(CallSummary):
    agent: str | None
    fault: Fault | None
    transfer: Transfer | None
    transferred_at: datetime | None
    turns: list[Turn]
    messages: list[Message]
    timeline: list[TimelineItem]
    usage: Usage
    cost: Cost
    recordings: list[Recording]
    outcome_webhook: OutcomeWebhook | None
    activity: Activity
    config: Config
    metadata: dict[str, str]


def whole(
    record: CallRecord,
    cost: prices.Cost,
    link_to: Callable[[recording.Recording], str | None],
) -> WholeCall:
    call = record.call
    return WholeCall(
        **dict(summary(call)),
        agent=record.config.agent,
        fault=Fault.model_validate(call.fault) if call.fault else None,
        transfer=_transfer(call),
        transferred_at=moment_if_any(call.transferred_at_ms),
        turns=[Turn.model_validate(turn) for turn in record.turns],
        messages=[Message.model_validate(message) for message in record.messages],
        timeline=[_timeline_item(entry) for entry in record.timeline],
        usage=Usage.model_validate(record.usage),
        cost=Cost.model_validate(cost),
        outcome_webhook=_outcome_webhook(record.notice),
        recordings=[_recording(each, link_to(each)) for each in record.recordings],
        activity=Activity.model_validate(call.activity),
        config=Config.model_validate(record.config),
        metadata=record.config.metadata,
    )


def _outcome_webhook(notice: Notice | None) -> OutcomeWebhook | None:
    if notice is None:
        return None
    return OutcomeWebhook(
        event_id=notice.event_id,
        state=notice.state,
        attempts=notice.attempts,
        changed_at=moment(notice.changed_at_ms),
        problem=notice.problem,
    )


def _recording(kept: recording.Recording, url: str | None) -> Recording:
    return Recording(
        id=kept.recording_id,
        state=kept.state,
        format=kept.format,
        channels=kept.channels,
        duration_seconds=None if kept.duration_ms is None else kept.duration_ms / 1000,
        size_bytes=kept.size_bytes,
        problem=kept.problem,
        url=url,
    )


def _transfer(call: Call) -> Transfer | None:
    if (known := call.transfer) is None:
        return None
    return Transfer(
        number=known.number,
        to=known.to,
        warm=known.is_warm,
        connected=call.transferred_at_ms is not None,
        end=known.end,
    )


def _timeline_item(entry: TimelineEntry) -> TimelineItem:
    return TimelineItem(at=moment(entry.at_ms), what=entry.what, detail=entry.detail)
