"""What the HTTP API answers; `api_requests.py` holds what it may be asked for. What agents and
records look like stands in modules of their own."""

from datetime import UTC, datetime
from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field

from phonebridge.answering import AnsweredBy
from phonebridge.call import Call, CallStatus, Direction, Outcome
from phonebridge.store import Page


class ApiAnswer(BaseModel):
    model_config = ConfigDict(populate_by_name=True, from_attributes=True, frozen=True)


class CallSummary(ApiAnswer):
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


class CallList(ApiAnswer):
    calls: list[CallSummary]
    cursor: Annotated[str | None, Field(description="Asks for the next page; null on the last.")]


class FieldProblem(ApiAnswer):
    field: str
    problem: str


class ProviderRefusal(ApiAnswer):
    provider: str
    code: str | None = None
    title: str | None = None
    call_id: str | None = None


class ErrorBody(ApiAnswer):
    code: str
    message: str
    details: list[FieldProblem] | ProviderRefusal | None = None


class ErrorAnswer(ApiAnswer):
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
        created_at=moment(call.created_at_ms),
        answered_at=moment_if_any(call.answered_at_ms),
        streaming_at=moment_if_any(call.streaming_at_ms),
        ended_at=moment_if_any(call.ended_at_ms),
        duration_seconds=_talk_seconds(call),
    )


def warned(call: Call, warnings: list[str]) -> WarnedCall:
    return WarnedCall(**dict(summary(call)), warnings=warnings)


def listed(page: Page) -> CallList:
    return CallList(calls=[summary(call) for call in page.calls], cursor=page.cursor)


def _talk_seconds(call: Call) -> float | None:
    return None if call.talk_ms is None else call.talk_ms / 1000


def moment(unix_ms: int) -> datetime:
    return datetime.fromtimestamp(unix_ms / 1000, UTC)


def moment_if_any(unix_ms: int | None) -> datetime | None:
    return None if unix_ms is None else moment(unix_ms)
