"""/api/ai-calls/{call_id}/…: steer and end a live call. Commands for the media container go through
its mailbox. Commands for Telnyx are sent at once."""

from collections.abc import Callable
from hashlib import sha256
from http import HTTPStatus
from typing import TypeVar

from aws_lambda_powertools.event_handler import Response
from aws_lambda_powertools.event_handler.router import APIGatewayHttpRouter

from control_plane.api.document import WITH_BODY, responses_of
from control_plane.api.requests.browser_call import check_carrier_tools
from control_plane.api.requests.create_call import CallId, IdempotencyKey
from control_plane.api.requests.steering import (
    DtmfRequest,
    HangUpRequest,
    InterruptRequest,
    MuteRequest,
    SayRequest,
    TransferRequest,
    UpdateRequest,
)
from control_plane.api.requests.supported import check_tools, voice_warnings
from control_plane.api.resolver import call_context, respond
from control_plane.api.responses import calls
from control_plane.api.responses.calls import CallSummary, CallWithWarnings
from control_plane.api.responses.record import CallDetails
from control_plane.call_record import call_details_of
from control_plane.destinations import check_destinations
from control_plane.services import ControlPlane, control_plane, log
from phonebridge.call.call import Call, CallStatus, EndedBy
from phonebridge.call.events import DigitsRequested, EndRequested
from phonebridge.call.steering import Interrupt, SayGoodbye, Steering
from phonebridge.errors import InvalidTransition, WrongState

router = APIGatewayHttpRouter()  # type: ignore[no-untyped-call]

_TAGS = ["live calls"]
_ACCEPTED = responses_of(
    {202: "The command was passed to the call's container."},
    *WITH_BODY,
    HTTPStatus.NOT_FOUND,
    HTTPStatus.CONFLICT,
)

Handler = TypeVar("Handler", bound=Callable[..., object])


def _command_route(name: str, summary: str) -> Callable[[Handler], Handler]:
    """Declare a route that passes a command to the call's container."""
    return router.post(
        f"/api/ai-calls/<call_id>/{name}",
        operation_id=name,
        summary=summary,
        tags=_TAGS,
        responses=_ACCEPTED,
    )


@router.post(
    "/api/ai-calls/<call_id>/hangup",
    operation_id="hangup",
    summary="End a call, optionally after a last sentence",
    tags=_TAGS,
    responses=responses_of(
        {200: "The call had already ended. This is its record.", 202: "The call is being ended."},
        *WITH_BODY,
        HTTPStatus.NOT_FOUND,
        HTTPStatus.BAD_GATEWAY,
    ),
)
def hang_up(
    call_id: CallId, wanted: HangUpRequest | None = None
) -> Response[CallDetails | CallSummary]:
    plane = control_plane()
    before = plane.call(call_id)
    if wanted and wanted.say and _has_container(before):
        return _send(before, SayGoodbye(wanted.say))
    with call_context(call_id):
        after = plane.switchboard.apply(call_id, EndRequested(EndedBy.API, plane.now_ms()))
    if before.status is CallStatus.ENDED:
        return respond(HTTPStatus.OK, call_details_of(plane, call_id))
    return respond(HTTPStatus.ACCEPTED, calls.call_summary(after))


@_command_route("interrupt", "Stop the agent's speech")
def interrupt(call_id: CallId, wanted: InterruptRequest | None = None) -> Response[CallSummary]:
    return _send(_streaming(call_id), Interrupt())


@_command_route("say", "Make the agent speak")
def say(call_id: CallId, wanted: SayRequest) -> Response[CallSummary]:
    command = wanted.command()
    return _send(_streaming(call_id), command)


@_command_route("update", "Change the settings of a live call")
def update(call_id: CallId, wanted: UpdateRequest) -> Response[CallWithWarnings]:
    command = wanted.command()
    if command.tools:
        settings = control_plane().settings
        check_tools(wanted.settings, command.tools, settings)
        check_destinations([each.to for each in command.tools.destinations], settings)
    call = _streaming(call_id)
    if call.is_browser_call:
        check_carrier_tools(wanted.settings)
    _post(call, command)
    warnings = voice_warnings(wanted.voice)
    if wanted.voice:
        warnings.append("voice: has no effect once the agent has spoken; the timeline says so.")
    return respond(HTTPStatus.ACCEPTED, calls.call_with_warnings(call, warnings))


@_command_route("mute", "Mute the agent or the caller")
def mute(call_id: CallId, wanted: MuteRequest | None = None) -> Response[CallSummary]:
    return _send(_streaming(call_id), (wanted or MuteRequest()).command(muted=True))


@_command_route("unmute", "Unmute the agent or the caller")
def unmute(call_id: CallId, wanted: MuteRequest | None = None) -> Response[CallSummary]:
    return _send(_streaming(call_id), (wanted or MuteRequest()).command(muted=False))


@_command_route("transfer", "Transfer the caller")
def transfer(call_id: CallId, wanted: TransferRequest) -> Response[CallSummary]:
    command = wanted.command()
    check_destinations([command.to], control_plane().settings)
    call = _streaming(call_id)
    _require_carrier(call, "it cannot be transferred")
    latest = call.transfer
    is_free = latest is None or bool(latest.end)
    # The record shows a transfer only after its container has begun it. Until then, the claim keeps
    # others from asking for one.
    number = latest.number + 1 if latest else 1
    if not (is_free and control_plane().store.claim_transfer(call_id, number)):
        raise WrongState(call_id, call.status, "a transfer is under way already")
    return _send(call, command)


@router.post(
    "/api/ai-calls/<call_id>/dtmf",
    operation_id="dtmf",
    summary="Send DTMF digits",
    tags=_TAGS,
    responses=responses_of(
        {202: "The carrier accepted the command."},
        *WITH_BODY,
        HTTPStatus.NOT_FOUND,
        HTTPStatus.CONFLICT,
        HTTPStatus.BAD_GATEWAY,
    ),
)
def dtmf(
    call_id: CallId, wanted: DtmfRequest, idempotency_key: IdempotencyKey = None
) -> Response[CallSummary]:
    plane = control_plane()
    call = plane.call(call_id)
    _require_carrier(call, "it has no keys to press")
    if call.status in (CallStatus.ANSWERED, CallStatus.STREAMING):
        with call_context(call_id):
            request_id = sha256((idempotency_key or "").encode()).hexdigest()[:16]
            pressed = DigitsRequested(
                wanted.digits, wanted.duration_ms, request_id if idempotency_key else ""
            )
            call = _press(plane, call_id, pressed)
    if call.status not in (CallStatus.ANSWERED, CallStatus.STREAMING):
        raise WrongState(call_id, call.status, "only an answered call has keys to press")
    return respond(HTTPStatus.ACCEPTED, calls.call_summary(call))


def _press(plane: ControlPlane, call_id: str, wanted: DigitsRequested) -> Call:
    try:
        return plane.switchboard.apply(call_id, wanted)
    except InvalidTransition:
        return plane.call(call_id)  # it ended meanwhile


def _require_carrier(call: Call, consequence: str) -> None:
    if call.is_browser_call:
        raise WrongState(call.call_id, "a browser call", f"no carrier has it, so {consequence}")


def _streaming(call_id: str) -> Call:
    call = control_plane().call(call_id)
    if not _has_container(call):
        raise WrongState(call_id, call.status, "only a streaming call can be steered")
    return call


def _has_container(call: Call) -> bool:
    return call.status is CallStatus.STREAMING and bool(call.owner_task)


def _send(call: Call, command: Steering) -> Response[CallSummary]:
    _post(call, command)
    return respond(HTTPStatus.ACCEPTED, calls.call_summary(call))


def _post(call: Call, command: Steering) -> None:
    assert call.owner_task, "only a call with a container is told anything"
    with call_context(call.call_id):
        control_plane().mailbox.post(call.owner_task, call.call_id, command)
        log.info("command posted", command=type(command).__name__, task_id=call.owner_task)
