"""What the HTTP API answers, in camelCase; `api_requests.py` holds what it may be asked for."""

from collections.abc import Callable
from dataclasses import fields
from datetime import UTC, datetime
from typing import Annotated, Any

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field
from pydantic.alias_generators import to_camel

import directory
import prices
from phonebridge import recording
from phonebridge.answering import AnsweredBy, Method, OnMachine
from phonebridge.call import Call, CallStatus, Direction, Outcome, Speaker
from phonebridge.notice import Notice, NoticeState
from phonebridge.ports import TimelineEntry
from phonebridge.recording import RecordingState
from phonebridge.store import CallRecord, Page
from phonebridge.tools import Tools


class _Answer(BaseModel):
    model_config = ConfigDict(
        alias_generator=to_camel, populate_by_name=True, from_attributes=True, frozen=True
    )


class CallSummary(_Answer):
    call_id: str
    status: CallStatus
    direction: Direction
    outcome: Outcome | None
    reason: str | None
    answered_by: Annotated[
        AnsweredBy | None, Field(description="As the carrier heard it, where it was asked to.")
    ]
    to: str
    from_: Annotated[str, Field(alias="from")]
    created_at: datetime
    answered_at: datetime | None
    streaming_at: datetime | None
    ended_at: datetime | None
    duration_seconds: Annotated[
        float | None, Field(description="Talk time, from answer to end; null until the end.")
    ]


class WarnedCall(CallSummary):
    warnings: list[str]


class CallList(_Answer):
    calls: list[CallSummary]
    cursor: Annotated[str | None, Field(description="Asks for the next page; null on the last.")]


class Latency(_Answer):
    """What an answer waited for, one after the other (docs/record.md)."""

    detector_ms: int | None
    response_ms: int
    model_ms: int
    bridge_ms: int


class Turn(_Answer):
    number: int
    who: Speaker
    text: str
    started_ms: int
    ended_ms: int
    interrupted: bool
    unheard: Annotated[str, Field(description="The words that an interruption cut off.")]
    latency_ms: int | None
    latency: Latency | None


class TimelineItem(_Answer):
    at: datetime
    what: str
    detail: str


class Fault(_Answer):
    reason: str
    detail: str


class Transfer(_Answer):
    """The latest attempt to hand the caller over."""

    number: int
    to: str
    warm: bool
    connected: Annotated[bool, Field(description="Whether the caller was put through.")]
    end: Annotated[str, Field(description="Why that failed, or how the target's leg ended.")]


class Usage(_Answer):
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


class Cost(_Answer):
    """By list prices of a day; null is what cannot be told, and `notes` say why."""

    currency: str
    model: float | None
    transcription: float | None
    carrier: float | None
    total: Annotated[float | None, Field(description="Of those parts that can be told.")]
    prices_as_of: str
    notes: list[str]


class Activity(_Answer):
    interruptions: int
    frames_in: int
    frames_out: int
    frames_lost: int
    first_audio_ms: int | None
    turn_latency_ms: int | None


class TurnDetection(_Answer):
    type: str
    threshold: float
    prefix_padding_ms: int
    silence_duration_ms: int
    idle_timeout_ms: int | None
    eagerness: str
    create_response: bool
    interrupt_response: bool


class Tool(_Answer):
    """What was declared, without what is secret in it."""

    type: str
    name: str
    url: str | None = None


class Recording(_Answer):
    """A copy of what the carrier recorded; `url` lives for a quarter of an hour."""

    id: str
    state: RecordingState
    format: str
    channels: str
    duration_seconds: float | None
    size_bytes: int | None
    problem: str
    url: str | None


class OutcomeWebhook(_Answer):
    """Whether the user's server has heard of the end of the call."""

    event_id: str
    state: NoticeState
    attempts: int
    changed_at: datetime
    problem: str


class Message(_Answer):
    """What the caller left for somebody (`take_message`)."""

    number: int
    text: str
    name: str
    phone: str
    taken_ms: int


def _shown(tools: Tools) -> list[Tool]:
    return [
        *(Tool(type="function", name=each.name, url=each.url) for each in tools.functions),
        *(Tool(type="mcp", name=each.label, url=each.url) for each in tools.mcp_servers),
        *(Tool(type=each, name=each) for each in tools.built_in),
    ]


class MachineDetection(_Answer):
    mode: OnMachine
    message: str | None
    method: Method


class Transcription(_Answer):
    model: str
    prompt: str | None
    keywords: list[str]


class Config(_Answer):
    instructions: str
    model: str | None
    voice: str
    speed: float | None
    greeting: str | None
    language: str | None
    temperature: float | None
    turn_detection: TurnDetection
    noise_reduction: str | None
    noise_reduction_strength: float | None
    transcription: Transcription
    reasoning_effort: str | None
    max_output_tokens: int | None
    max_duration_seconds: int
    idle_timeout_seconds: int | None
    idle_prompts: int
    barge_in_min_ms: int
    codec: str
    machine_detection: MachineDetection | None
    record: bool
    webhook_url: str | None
    record_dtmf: bool
    stream_setup: str
    tools: Annotated[list[Tool], BeforeValidator(_shown)]


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


class Agent(Config):
    """What a call gets that says nothing of its own."""

    name: str
    changed_at: datetime


class ChangedAgent(Agent):
    warnings: list[str]


class NamedAgent(_Answer):
    name: str
    changed_at: datetime


class AgentList(_Answer):
    agents: list[NamedAgent]
    cursor: Annotated[str | None, Field(description="Asks for the next page; null on the last.")]


class Number(_Answer):
    number: str
    agent: str
    changed_at: datetime


class NumberList(_Answer):
    numbers: list[Number]
    cursor: Annotated[str | None, Field(description="Asks for the next page; null on the last.")]


class FieldProblem(_Answer):
    field: str
    problem: str


class ProviderRefusal(_Answer):
    provider: str
    code: str | None = None
    title: str | None = None
    call_id: str | None = None


class ErrorBody(_Answer):
    code: str
    message: str
    details: list[FieldProblem] | ProviderRefusal | None = None


class ErrorAnswer(_Answer):
    error: ErrorBody


def summary(call: Call) -> CallSummary:
    return CallSummary(
        call_id=call.call_id,
        status=call.status,
        direction=call.direction,
        outcome=call.outcome,
        reason=call.reason,
        answered_by=call.detection.answered_by if call.detection else None,
        to=call.to,
        from_=call.from_,
        created_at=_time(call.created_at_ms),
        answered_at=_time_if_any(call.answered_at_ms),
        streaming_at=_time_if_any(call.streaming_at_ms),
        ended_at=_time_if_any(call.ended_at_ms),
        duration_seconds=_talk_seconds(call),
    )


def warned(call: Call, warnings: list[str]) -> WarnedCall:
    return WarnedCall(**dict(summary(call)), warnings=warnings)


def listed(page: Page) -> CallList:
    return CallList(calls=[summary(call) for call in page.calls], cursor=page.cursor)


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
        transferred_at=_time_if_any(call.transferred_at_ms),
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


def agent(found: directory.Agent) -> Agent:
    return Agent(**_of_agent(found))


def changed_agent(changed: directory.Agent, warnings: list[str]) -> ChangedAgent:
    return ChangedAgent(**_of_agent(changed), warnings=warnings)


def _of_agent(found: directory.Agent) -> dict[str, Any]:
    config = found.config()
    settings = {each.name: getattr(config, each.name) for each in fields(config)}
    return settings | {"name": found.name, "changed_at": _time(found.changed_at_ms)}


def listed_agents(found: list[directory.Agent], limit: int) -> AgentList:
    shown = [NamedAgent(name=each.name, changed_at=_time(each.changed_at_ms)) for each in found]
    return AgentList(agents=shown[:limit], cursor=shown[limit - 1].name if shown[limit:] else None)


def number(assigned: directory.Assignment) -> Number:
    changed_at = _time(assigned.changed_at_ms)
    return Number(number=assigned.number, agent=assigned.agent, changed_at=changed_at)


def listed_numbers(found: list[directory.Assignment], limit: int) -> NumberList:
    shown = [number(each) for each in found]
    cursor = shown[limit - 1].number if shown[limit:] else None
    return NumberList(numbers=shown[:limit], cursor=cursor)


def _outcome_webhook(notice: Notice | None) -> OutcomeWebhook | None:
    if notice is None:
        return None
    return OutcomeWebhook(
        event_id=notice.event_id,
        state=notice.state,
        attempts=notice.attempts,
        changed_at=_time(notice.changed_at_ms),
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
    return TimelineItem(at=_time(entry.at_ms), what=entry.what, detail=entry.detail)


def _talk_seconds(call: Call) -> float | None:
    return None if call.talk_ms is None else call.talk_ms / 1000


def _time(unix_ms: int) -> datetime:
    return datetime.fromtimestamp(unix_ms / 1000, UTC)


def _time_if_any(unix_ms: int | None) -> datetime | None:
    return None if unix_ms is None else _time(unix_ms)
