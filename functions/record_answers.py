"""The whole record of a call as the HTTP API answers it."""

from collections.abc import Callable
from datetime import datetime
from typing import Annotated

from pydantic import Field

import prices
from agent_settings import AgentSettings
from api_answers import ApiAnswer, CallSummary, moment, moment_if_any, summary
from phonebridge import recording
from phonebridge.call import Call
from phonebridge.notice import Notice, NoticeState
from phonebridge.ports import TimelineEntry
from phonebridge.recording import RecordingState
from phonebridge.store import CallRecord
from phonebridge.turn import Speaker


class Latency(ApiAnswer):
    """What an answer waited for. The parts follow each other and add up to `latency_ms`."""

    detector_ms: Annotated[
        int | None,
        Field(
            description="Until the detector was sure that the caller had finished. Null: unknown."
        ),
    ]
    response_ms: Annotated[int, Field(description="Until the response began, tools included.")]
    model_ms: Annotated[int, Field(description="Until the response's first sound came.")]
    bridge_ms: Annotated[int, Field(description="Until that sound left for the carrier.")]


class Turn(ApiAnswer):
    """What one side said without a break. Times count from the start of the media stream."""

    number: Annotated[int, Field(description="Counts the turns of a call, from 1.")]
    who: Annotated[Speaker, Field(description="Who spoke.")]
    text: Annotated[
        str, Field(description="The words; of a turn that was cut off, those that were heard.")
    ]
    started_ms: Annotated[int, Field(description="When it began.")]
    ended_ms: Annotated[int, Field(description="When it ended.")]
    interrupted: Annotated[bool, Field(description="Whether the other side cut it off.")]
    unheard: Annotated[str, Field(description="The words that an interruption cut off.")]
    partial: Annotated[
        bool, Field(description="The final transcript never came: words may be missing.")
    ]
    latency_ms: Annotated[
        int | None,
        Field(description="From the caller's last word to the first sound. Null where none was."),
    ]
    latency: Annotated[Latency | None, Field(description="The parts of `latency_ms`.")]


class TimelineItem(ApiAnswer):
    """Something that happened to the call."""

    at: Annotated[datetime, Field(description="When it happened.")]
    what: Annotated[str, Field(description="What happened.")]
    detail: Annotated[str, Field(description="More about it; may be empty.")]


class Fault(ApiAnswer):
    """Why a call failed."""

    reason: Annotated[str, Field(description="A code, for programs.")]
    detail: Annotated[str, Field(description="An explanation, for people.")]


class Transfer(ApiAnswer):
    """The latest attempt to hand the caller over."""

    number: Annotated[int, Field(description="Counts the attempts of a call, from 1.")]
    to: Annotated[str, Field(description="The number or SIP URI of the target.")]
    warm: Annotated[bool, Field(description="Whether the target was told a summary first.")]
    connected: Annotated[bool, Field(description="Whether the caller was put through.")]
    end: Annotated[str, Field(description="Why that failed, or how the target's leg ended.")]


class Usage(ApiAnswer):
    """What the models used: tokens of all responses, cancelled ones too. The transcription of the
    caller has counts of its own, in tokens or in time."""

    input_text: Annotated[int, Field(description="Text tokens in, cached ones included.")]
    input_audio: Annotated[int, Field(description="Audio tokens in, cached ones included.")]
    cached_text: Annotated[int, Field(description="Text tokens in that were cached.")]
    cached_audio: Annotated[int, Field(description="Audio tokens in that were cached.")]
    output_text: Annotated[int, Field(description="Text tokens out.")]
    output_audio: Annotated[int, Field(description="Audio tokens out.")]
    responses: Annotated[int, Field(description="How many responses these counts are of.")]
    transcribed_input: Annotated[int, Field(description="Tokens that the transcription read.")]
    transcribed_output: Annotated[int, Field(description="Tokens that the transcription wrote.")]
    transcribed_ms: Annotated[
        int, Field(description="Audio that was transcribed, where time is what counts.")
    ]


class Cost(ApiAnswer):
    """What the call cost by list prices. Null is what cannot be told; `notes` say why."""

    currency: Annotated[
        str, Field(description="The currency of every amount, as an ISO 4217 code.")
    ]
    model: Annotated[float | None, Field(description="For the model's tokens.")]
    transcription: Annotated[
        float | None, Field(description="For the transcription of the caller.")
    ]
    carrier: Annotated[float | None, Field(description="For the carrier.")]
    total: Annotated[float | None, Field(description="The sum of those parts that can be told.")]
    prices_as_of: Annotated[str, Field(description="The day of the list prices.")]
    notes: Annotated[list[str], Field(description="What is missing or estimated.")]


class Activity(ApiAnswer):
    """What was counted over the call."""

    interruptions: Annotated[int, Field(description="How often the agent was cut off.")]
    frames_in: Annotated[int, Field(description="Audio frames from the carrier.")]
    frames_out: Annotated[int, Field(description="Audio messages to the carrier.")]
    frames_lost: Annotated[int, Field(description="Audio frames from the carrier that never came.")]
    first_audio_ms: Annotated[
        int | None,
        Field(description="From the answer to the agent's first sound. Null where there was none."),
    ]
    turn_latency_ms: Annotated[
        int | None, Field(description="The median of the turns' `latency_ms`.")
    ]


class Recording(ApiAnswer):
    """A copy of what the carrier recorded."""

    id: Annotated[str, Field(description="The carrier's id of the recording.")]
    state: Annotated[
        RecordingState, Field(description="Whether the copy is on its way, kept or lost.")
    ]
    format: Annotated[str, Field(description="The format of the file.")]
    channels: Annotated[str, Field(description="`dual`: each side has a channel.")]
    duration_seconds: Annotated[
        float | None, Field(description="How long it is, if the carrier says so.")
    ]
    size_bytes: Annotated[
        int | None, Field(description="The size of the copy. Null until it is kept.")
    ]
    problem: Annotated[str, Field(description="Why it is lost, or not kept yet; may be empty.")]
    url: Annotated[
        str | None, Field(description="Where to fetch the copy, for a quarter of an hour.")
    ]


class OutcomeWebhook(ApiAnswer):
    """Whether the user's server has heard of the end of the call."""

    event_id: Annotated[str, Field(description="The same for every attempt.")]
    state: Annotated[
        NoticeState, Field(description="Whether it waits, was delivered or was given up.")
    ]
    attempts: Annotated[int, Field(description="How many attempts there have been.")]
    changed_at: Annotated[datetime, Field(description="When the latest attempt was made.")]
    problem: Annotated[str, Field(description="Why the latest attempt failed; may be empty.")]


class Message(ApiAnswer):
    """What the caller left for somebody (`take_message`)."""

    number: Annotated[int, Field(description="Counts the messages of a call, from 1.")]
    text: Annotated[str, Field(description="The message.")]
    name: Annotated[str, Field(description="Who left it; may be empty.")]
    phone: Annotated[str, Field(description="Where to call back; may be empty.")]
    taken_ms: Annotated[
        int, Field(description="When it was taken, from the start of the media stream.")
    ]


class WholeCall(CallSummary):
    """The whole record of a call."""

    agent: Annotated[str | None, Field(description="The agent whose settings the call took.")]
    fault: Annotated[Fault | None, Field(description="Why the call failed, if it did.")]
    transfer: Annotated[
        Transfer | None, Field(description="The latest transfer, if there was one.")
    ]
    transferred_at: Annotated[
        datetime | None, Field(description="When the caller was put through.")
    ]
    turns: Annotated[list[Turn], Field(description="Who said what, in order.")]
    messages: Annotated[list[Message], Field(description="What the caller left for somebody.")]
    timeline: Annotated[list[TimelineItem], Field(description="What happened, in order.")]
    usage: Annotated[Usage, Field(description="What the models used.")]
    cost: Annotated[Cost, Field(description="What the call cost.")]
    recordings: Annotated[
        list[Recording], Field(description="Copies of what the carrier recorded.")
    ]
    outcome_webhook: Annotated[
        OutcomeWebhook | None,
        Field(description="How far the outcome webhook is. Null where there is none."),
    ]
    activity: Annotated[Activity, Field(description="Counts of audio and of interruptions.")]
    config: Annotated[
        AgentSettings, Field(description="The settings of the call, defaults included.")
    ]
    metadata: Annotated[
        dict[str, str], Field(description="Your own texts, as `create` was given them.")
    ]


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
        config=AgentSettings.of(record.config),
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
