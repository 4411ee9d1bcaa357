"""Calls and errors in responses of the HTTP API. Agents and records have modules of their own."""

from datetime import UTC, datetime
from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field

from phonebridge.call.call import Call, CallStatus, Direction, Outcome
from phonebridge.call.machine_detection import AnsweredBy
from phonebridge.storage.call_store import Page


class ResponseModel(BaseModel):
    model_config = ConfigDict(populate_by_name=True, from_attributes=True, frozen=True)


NextCursor = Annotated[
    str | None, Field(description="Pass it to get the next page. Null on the last page.")
]


class CallSummary(ResponseModel):
    """Summary of a call."""

    call_id: Annotated[str, Field(description="The id of the call.")]
    status: Annotated[CallStatus, Field(description="The status of the call.")]
    direction: Annotated[
        Direction, Field(description=("Whether Phonebridge placed or received the call."))
    ]
    outcome: Annotated[Outcome | None, Field(description="How the call ended. Null until the end.")]
    reason: Annotated[str | None, Field(description="Why it ended, as a code. Null until the end.")]
    answered_by: Annotated[
        AnsweredBy | None,
        Field(description="Who answered, as the carrier detected it. Null without detection."),
    ]
    to: Annotated[str, Field(description="The number, or SIP address, that was called.")]
    from_: Annotated[str, Field(alias="from", description="The number that called.")]
    placed_by: Annotated[
        str | None,
        Field(
            description="Which API key placed the call: `key-` and the first 12 digits of its "
            "SHA-256, or `sub-` and those of a token's subject. Null: inbound, or placed locally.",
            examples=["key-9f86d081884c"],
        ),
    ]
    created_at: Annotated[datetime, Field(description="When the call arrived or was requested.")]
    answered_at: Annotated[datetime | None, Field(description="When it was answered.")]
    streaming_at: Annotated[datetime | None, Field(description="When its audio began.")]
    ended_at: Annotated[datetime | None, Field(description="When it ended.")]
    duration_seconds: Annotated[
        float | None, Field(description="Talk time, from answer to end. Null until the end.")
    ]


class CallWithWarnings(CallSummary):
    """Summary of a call, with warnings about its settings."""

    warnings: Annotated[
        list[str],
        Field(description=("Settings that have no effect or may not work, with the reason.")),
    ]


class CallList(ResponseModel):
    """A page of calls."""

    calls: Annotated[list[CallSummary], Field(description="The calls, newest first.")]
    cursor: NextCursor


class FieldProblem(ResponseModel):
    """An invalid field of the request."""

    field: Annotated[
        str,
        Field(
            description="The path of the field, such as `tools.0.url`, or the name of a parameter.",
            examples=["turn_detection.threshold"],
        ),
    ]
    problem: Annotated[str, Field(description="What is wrong, with a suggestion if there is one.")]


class ProviderRefusal(ResponseModel):
    """The error of a provider."""

    provider: Annotated[str, Field(description="Which provider: `telnyx`.")]
    code: Annotated[str | None, Field(description="The provider's own code.")] = None
    title: Annotated[str | None, Field(description="The provider's own title.")] = None
    call_id: Annotated[str | None, Field(description="The id of the call.")] = None


class ErrorBody(ResponseModel):
    """Code, message and details of an error."""

    code: Annotated[
        str, Field(description="The kind of error, for programs.", examples=["invalid_field"])
    ]
    message: Annotated[str, Field(description="What happened and what to do about it, for people.")]
    details: Annotated[
        list[FieldProblem] | ProviderRefusal | None,
        Field(description="Every invalid field, or the provider's error."),
    ] = None


class ErrorResponse(ResponseModel):
    """The shape of all errors of Phonebridge."""

    error: Annotated[ErrorBody, Field(description="The error.")]


class GatewayError(ResponseModel):
    """The shape of errors from API Gateway itself, before a request reaches Phonebridge."""

    message: Annotated[str, Field(description="What happened.", examples=["Unauthorized"])]


def call_summary(call: Call) -> CallSummary:
    return CallSummary(
        call_id=call.call_id,
        status=call.status,
        direction=call.direction,
        outcome=call.outcome,
        reason=call.reason,
        answered_by=call.detection.answered_by if call.detection else None,
        to=call.to,
        from_=call.from_,
        placed_by=call.placed_by or None,
        created_at=to_datetime(call.created_at_ms),
        answered_at=to_datetime_or_none(call.answered_at_ms),
        streaming_at=to_datetime_or_none(call.streaming_at_ms),
        ended_at=to_datetime_or_none(call.ended_at_ms),
        duration_seconds=_talk_seconds(call),
    )


def call_with_warnings(call: Call, warnings: list[str]) -> CallWithWarnings:
    return CallWithWarnings(**dict(call_summary(call)), warnings=warnings)


def call_list(page: Page) -> CallList:
    return CallList(calls=[call_summary(call) for call in page.calls], cursor=page.cursor)


def _talk_seconds(call: Call) -> float | None:
    return None if call.talk_ms is None else call.talk_ms / 1000


def to_datetime(unix_ms: int) -> datetime:
    return datetime.fromtimestamp(unix_ms / 1000, UTC)


def to_datetime_or_none(unix_ms: int | None) -> datetime | None:
    return None if unix_ms is None else to_datetime(unix_ms)
