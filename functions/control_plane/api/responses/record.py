"""The whole record of a call in responses of the HTTP API."""

from collections.abc import Callable
from dataclasses import replace
from datetime import datetime
from typing import Annotated

from pydantic import Field

from control_plane import pricing
from control_plane.api.requests.agent_settings import AgentSettings
from control_plane.api.responses.calls import (
    CallSummary,
    ResponseModel,
    call_summary,
    to_datetime,
    to_datetime_or_none,
)
from phonebridge.call import recording
from phonebridge.call.call import Call
from phonebridge.call.recording import RecordingState
from phonebridge.call.turn import Speaker
from phonebridge.call.webhook_delivery import WebhookDelivery, WebhookDeliveryState
from phonebridge.ports import TimelineEntry
from phonebridge.storage.call_store import CallRecord


class LatencyResource(ResponseModel):
    """What the caller waited for before a reply. The parts follow each other and add up to
    `latency_ms`."""

    detector_ms: Annotated[
        int | None,
        Field(
            description=(
                "Time until the detector reported the end of the caller's turn. Null if unknown."
            )
        ),
    ]
    response_ms: Annotated[
        int, Field(description=("Time until the response began, including tool calls."))
    ]
    model_ms: Annotated[int, Field(description="Time until the model sent the first sound.")]
    bridge_ms: Annotated[int, Field(description="Time until that sound was sent to the carrier.")]


class TurnResource(ResponseModel):
    """An uninterrupted utterance of one side. Times count from the start of the media stream."""

    number: Annotated[int, Field(description="Counts the turns of a call, from 1.")]
    who: Annotated[Speaker, Field(description="Who spoke.")]
    text: Annotated[
        str,
        Field(description=("The words. For an interrupted turn, only the words that were played.")),
    ]
    started_ms: Annotated[int, Field(description="When it began.")]
    ended_ms: Annotated[int, Field(description="When it ended.")]
    interrupted: Annotated[bool, Field(description="Whether the other side interrupted it.")]
    unheard: Annotated[
        str, Field(description=("The words that were not played because of an interruption."))
    ]
    partial: Annotated[
        bool,
        Field(description=("True if the final transcript never arrived, so words may be missing.")),
    ]
    latency_ms: Annotated[
        int | None,
        Field(
            description=(
                "Time from the caller's last word to the first sound of the reply. Null if unknown."
            )
        ),
    ]
    latency: Annotated[LatencyResource | None, Field(description="The parts of `latency_ms`.")]


class TimelineItem(ResponseModel):
    """An entry of the call's timeline."""

    at: Annotated[datetime, Field(description="When it happened.")]
    what: Annotated[
        str,
        Field(
            description="What happened. `model reconnected` means that the model's session was "
            "lost and replaced while the call went on."
        ),
    ]
    detail: Annotated[
        str,
        Field(
            description="Details; may be empty. For `model reconnected`, it is the time "
            "without a model and the reason, such as `after 412 ms: the model's server closed "
            "with 1011`."
        ),
    ]


class FaultResource(ResponseModel):
    """Why a call failed."""

    reason: Annotated[str, Field(description="A code, for programs.")]
    detail: Annotated[str, Field(description="An explanation, for people.")]


class TransferResource(ResponseModel):
    """The latest attempt to transfer the caller."""

    number: Annotated[int, Field(description="Counts the attempts of a call, from 1.")]
    to: Annotated[str, Field(description="The number or SIP URI of the target.")]
    warm: Annotated[bool, Field(description="Whether a summary was read to the target first.")]
    connected: Annotated[
        bool, Field(description=("Whether the caller was connected with the target."))
    ]
    end: Annotated[
        str, Field(description=("Why the transfer failed, or how the target's leg ended."))
    ]


class UsageResource(ResponseModel):
    """Usage of the models. It counts the tokens of all responses, including cancelled ones. The
    transcription of the caller is counted separately, in tokens or by time."""

    input_text: Annotated[int, Field(description="Text input tokens, including cached ones.")]
    input_audio: Annotated[int, Field(description="Audio input tokens, including cached ones.")]
    cached_text: Annotated[int, Field(description="Cached text input tokens.")]
    cached_audio: Annotated[int, Field(description="Cached audio input tokens.")]
    output_text: Annotated[int, Field(description="Text output tokens.")]
    output_audio: Annotated[int, Field(description="Audio output tokens.")]
    responses: Annotated[int, Field(description="Number of responses.")]
    transcribed_input: Annotated[int, Field(description="Input tokens of the transcription.")]
    transcribed_output: Annotated[int, Field(description="Output tokens of the transcription.")]
    transcribed_ms: Annotated[
        int, Field(description="Transcribed audio, for models that are billed by time.")
    ]


class CostResource(ResponseModel):
    """What the call cost by list prices. Null means unknown; `notes` give the reason."""

    currency: Annotated[
        str, Field(description="The currency of every amount, as an ISO 4217 code.")
    ]
    model: Annotated[float | None, Field(description="Cost of the model's tokens.")]
    transcription: Annotated[float | None, Field(description="Cost of the transcription.")]
    carrier: Annotated[float | None, Field(description="Cost of the carrier.")]
    total: Annotated[float | None, Field(description="The sum of the known parts.")]
    prices_as_of: Annotated[str, Field(description="The date of the price list.")]
    notes: Annotated[list[str], Field(description="What is missing or estimated.")]


class ActivityResource(ResponseModel):
    """Counters of the call."""

    interruptions: Annotated[
        int, Field(description=("How often the caller interrupted the agent."))
    ]
    frames_in: Annotated[int, Field(description="Audio frames from the carrier.")]
    frames_out: Annotated[int, Field(description="Audio messages to the carrier.")]
    frames_lost: Annotated[
        int, Field(description=("Audio frames from the carrier that were lost."))
    ]
    first_audio_ms: Annotated[
        int | None,
        Field(
            description=(
                "Time from the answer to the agent's first sound. Null if there was no sound."
            )
        ),
    ]
    turn_latency_ms: Annotated[
        int | None, Field(description="The median of the turns' `latency_ms`.")
    ]


class RecordingResource(ResponseModel):
    """A copy of the carrier's recording."""

    id: Annotated[str, Field(description="The carrier's id of the recording.")]
    state: Annotated[
        RecordingState, Field(description="Whether the copy is pending, stored or lost.")
    ]
    format: Annotated[str, Field(description="The format of the file.")]
    channels: Annotated[str, Field(description="`dual` if each side has its own channel.")]
    duration_seconds: Annotated[
        float | None, Field(description="Duration, if the carrier reports it.")
    ]
    size_bytes: Annotated[
        int | None, Field(description="Size of the copy. Null until it is stored.")
    ]
    problem: Annotated[str, Field(description="Why it is lost or not stored yet; may be empty.")]
    url: Annotated[str | None, Field(description="A link to the copy, valid for 15 minutes.")]


class OutcomeWebhook(ResponseModel):
    """Whether the outcome webhook was delivered to the user's server."""

    event_id: Annotated[str, Field(description="The id of the event, the same in every attempt.")]
    state: Annotated[
        WebhookDeliveryState, Field(description="Whether it is waiting, delivered or given up.")
    ]
    attempts: Annotated[int, Field(description="How many attempts there have been.")]
    changed_at: Annotated[datetime, Field(description="When the latest attempt was made.")]
    problem: Annotated[str, Field(description="Why the latest attempt failed; may be empty.")]


class MessageResource(ResponseModel):
    """A message that the caller left (`take_message`)."""

    number: Annotated[int, Field(description="Counts the messages of a call, from 1.")]
    text: Annotated[str, Field(description="The message.")]
    name: Annotated[str, Field(description="The caller's name; may be empty.")]
    phone: Annotated[str, Field(description="The number to call back; may be empty.")]
    taken_ms: Annotated[
        int,
        Field(
            description=("When it was left, in milliseconds from the start of the media stream.")
        ),
    ]


class CallDetails(CallSummary):
    """The whole record of a call."""

    agent: Annotated[
        str | None, Field(description=("The name of the agent whose settings the call uses."))
    ]
    fault: Annotated[FaultResource | None, Field(description="Why the call failed, if it did.")]
    transfer: Annotated[
        TransferResource | None, Field(description="The latest transfer, if there was one.")
    ]
    transferred_at: Annotated[
        datetime | None, Field(description="When the caller was connected with the target.")
    ]
    turns: Annotated[list[TurnResource], Field(description="Who said what, in order.")]
    messages: Annotated[list[MessageResource], Field(description="Messages that the caller left.")]
    timeline: Annotated[list[TimelineItem], Field(description="What happened, in order.")]
    usage: Annotated[UsageResource, Field(description="What the models used.")]
    cost: Annotated[CostResource, Field(description="What the call cost.")]
    recordings: Annotated[
        list[RecordingResource], Field(description="Copies of the carrier's recordings.")
    ]
    outcome_webhook: Annotated[
        OutcomeWebhook | None,
        Field(description="The delivery of the outcome webhook. Null if there is none."),
    ]
    activity: Annotated[ActivityResource, Field(description="Counters of audio and interruptions.")]
    config: Annotated[
        AgentSettings, Field(description="The settings of the call, including defaults.")
    ]
    metadata: Annotated[
        dict[str, str], Field(description="The metadata that you passed to `create`.")
    ]


def call_details(
    record: CallRecord,
    cost: pricing.Cost,
    link_to: Callable[[recording.Recording], str | None],
) -> CallDetails:
    call = record.call
    return CallDetails(
        **dict(call_summary(call)),
        agent=record.config.agent,
        fault=FaultResource.model_validate(call.fault) if call.fault else None,
        transfer=_transfer_resource(call),
        transferred_at=to_datetime_or_none(call.transferred_at_ms),
        turns=[
            TurnResource.model_validate(replace(turn, number=number))
            for number, turn in enumerate(record.turns, start=1)
        ],
        messages=[MessageResource.model_validate(message) for message in record.messages],
        timeline=[_timeline_item(entry) for entry in record.timeline],
        usage=UsageResource.model_validate(record.usage),
        cost=CostResource.model_validate(cost),
        outcome_webhook=_outcome_webhook(record.webhook_delivery),
        recordings=[_recording_resource(each, link_to(each)) for each in record.recordings],
        activity=ActivityResource.model_validate(record.activity),
        config=AgentSettings.of(record.config),
        metadata=record.config.metadata,
    )


def _outcome_webhook(notice: WebhookDelivery | None) -> OutcomeWebhook | None:
    if notice is None:
        return None
    return OutcomeWebhook(
        event_id=notice.event_id,
        state=notice.state,
        attempts=notice.attempts,
        changed_at=to_datetime(notice.changed_at_ms),
        problem=notice.problem,
    )


def _recording_resource(stored: recording.Recording, url: str | None) -> RecordingResource:
    return RecordingResource(
        id=stored.recording_id,
        state=stored.state,
        format=stored.format,
        channels=stored.channels,
        duration_seconds=None if stored.duration_ms is None else stored.duration_ms / 1000,
        size_bytes=stored.size_bytes,
        problem=stored.problem,
        url=url,
    )


def _transfer_resource(call: Call) -> TransferResource | None:
    if (known := call.transfer) is None:
        return None
    return TransferResource(
        number=known.number,
        to=known.to,
        warm=known.is_warm,
        connected=call.transferred_at_ms is not None,
        end=known.end,
    )


def _timeline_item(entry: TimelineEntry) -> TimelineItem:
    return TimelineItem(at=to_datetime(entry.at_ms), what=entry.what, detail=entry.detail)
