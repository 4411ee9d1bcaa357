"""/api/ai-calls/{call_id}/…: steer and end a live call. What needs its container goes through that
one's mailbox; what Telnyx can do alone goes there at once."""

from http import HTTPStatus

from aws_lambda_powertools.event_handler import Response
from aws_lambda_powertools.event_handler.router import APIGatewayHttpRouter

import api_answers
from api import about, answer
from api_answers import CallSummary, WarnedCall
from api_document import WITH_BODY, documented
from api_requests import CallId
from call_records import whole_call
from control_plane import ControlPlane, control_plane, log
from phonebridge.call import Call, CallStatus, EndedBy
from phonebridge.call_events import DigitsRequested, EndRequested
from phonebridge.errors import InvalidTransition, WrongState
from phonebridge.steering import HangUp, Interrupt, Steering
from record_answers import WholeCall
from steering_requests import (
    DtmfRequest,
    HangUpRequest,
    InterruptRequest,
    MuteRequest,
    SayRequest,
    TransferRequest,
    UpdateRequest,
)
from supported import check_tools, voice_warnings

router = APIGatewayHttpRouter()  # type: ignore[no-untyped-call]

_TAGS = ["live calls"]
_ACCEPTED = documented(
    {202: "The call's container is told."}, *WITH_BODY, HTTPStatus.NOT_FOUND, HTTPStatus.CONFLICT
)


@router.post(
    "/api/ai-calls/<call_id>/hangup",
    operation_id="hangup",
    summary="End a call, after a last sentence if there is one",
    tags=_TAGS,
    responses=documented(
        {200: "The call had already ended: its record.", 202: "The call is being ended."},
        *WITH_BODY,
        HTTPStatus.NOT_FOUND,
        HTTPStatus.BAD_GATEWAY,
    ),
)
def hang_up(
    call_id: CallId, wanted: HangUpRequest | None = None
) -> Response[WholeCall | CallSummary]:
    plane = control_plane()
    before = plane.call(call_id)
    if wanted and wanted.say and _has_container(before):
        return _tell(before, HangUp(wanted.say))
    with about(call_id):
        after = plane.switchboard.apply(call_id, EndRequested(EndedBy.API))
    if before.status is CallStatus.ENDED:
        return answer(HTTPStatus.OK, whole_call(plane, call_id))
    return answer(HTTPStatus.ACCEPTED, api_answers.summary(after))


@router.post(
    "/api/ai-calls/<call_id>/interrupt",
    operation_id="interrupt",
    summary="Stop the agent's speech now",
    tags=_TAGS,
    responses=_ACCEPTED,
)
def interrupt(call_id: CallId, wanted: InterruptRequest | None = None) -> Response[CallSummary]:
    return _tell(_streaming(call_id), Interrupt())


@router.post(
    "/api/ai-calls/<call_id>/say",
    operation_id="say",
    summary="Let the agent say something",
    tags=_TAGS,
    responses=_ACCEPTED,
)
def say(call_id: CallId, wanted: SayRequest) -> Response[CallSummary]:
    command = wanted.command()
    return _tell(_streaming(call_id), command)


@router.post(
    "/api/ai-calls/<call_id>/update",
    operation_id="update",
    summary="Go on with other settings",
    tags=_TAGS,
    responses=_ACCEPTED,
)
def update(call_id: CallId, wanted: UpdateRequest) -> Response[WarnedCall]:
    command = wanted.command()
    if command.tools:
        check_tools(wanted.settings, command.tools, control_plane().settings)
    call = _streaming(call_id)
    _post(call, command)
    warnings = voice_warnings(wanted.voice)
    if wanted.voice:
        warnings.append("voice: has no effect once the agent has spoken; the timeline says so.")
    return answer(HTTPStatus.ACCEPTED, api_answers.warned(call, warnings))


@router.post(
    "/api/ai-calls/<call_id>/mute",
    operation_id="mute",
    summary="Keep the agent silent, or the caller unheard",
    tags=_TAGS,
    responses=_ACCEPTED,
)
def mute(call_id: CallId, wanted: MuteRequest | None = None) -> Response[CallSummary]:
    return _tell(_streaming(call_id), (wanted or MuteRequest()).command(muted=True))


@router.post(
    "/api/ai-calls/<call_id>/unmute",
    operation_id="unmute",
    summary="Take a mute back",
    tags=_TAGS,
    responses=_ACCEPTED,
)
def unmute(call_id: CallId, wanted: MuteRequest | None = None) -> Response[CallSummary]:
    return _tell(_streaming(call_id), (wanted or MuteRequest()).command(muted=False))


@router.post(
    "/api/ai-calls/<call_id>/transfer",
    operation_id="transfer",
    summary="Hand the caller over",
    tags=_TAGS,
    responses=_ACCEPTED,
)
def transfer(call_id: CallId, wanted: TransferRequest) -> Response[CallSummary]:
    command = wanted.command()
    call = _streaming(call_id)
    latest = call.transfer
    is_free = latest is None or bool(latest.end)
    # The call tells of a transfer once its container has begun it: until then, others may ask.
    number = latest.number + 1 if latest else 1
    if not (is_free and control_plane().store.claim_transfer(call_id, number)):
        raise WrongState(call_id, call.status, "a transfer is under way already")
    return _tell(call, command)


@router.post(
    "/api/ai-calls/<call_id>/dtmf",
    operation_id="dtmf",
    summary="Press keys",
    tags=_TAGS,
    responses=documented(
        {202: "The carrier was told."},
        *WITH_BODY,
        HTTPStatus.NOT_FOUND,
        HTTPStatus.CONFLICT,
        HTTPStatus.BAD_GATEWAY,
    ),
)
def dtmf(call_id: CallId, wanted: DtmfRequest) -> Response[CallSummary]:
    plane = control_plane()
    call = plane.call(call_id)
    if call.status in (CallStatus.ANSWERED, CallStatus.STREAMING):
        with about(call_id):
            pressed = DigitsRequested(wanted.digits, wanted.duration_ms)
            call = _pressed(plane, call_id, pressed)
    if call.status not in (CallStatus.ANSWERED, CallStatus.STREAMING):
        raise WrongState(call_id, call.status, "only an answered call has keys to press")
    return answer(HTTPStatus.ACCEPTED, api_answers.summary(call))


def _pressed(plane: ControlPlane, call_id: str, wanted: DigitsRequested) -> Call:
    try:
        return plane.switchboard.apply(call_id, wanted)
    except InvalidTransition:
        return plane.call(call_id)  # it ended meanwhile


def _streaming(call_id: str) -> Call:
    call = control_plane().call(call_id)
    if not _has_container(call):
        raise WrongState(call_id, call.status, "only a streaming call can be steered")
    return call


def _has_container(call: Call) -> bool:
    return call.status is CallStatus.STREAMING and bool(call.owner_task)


def _tell(call: Call, command: Steering) -> Response[CallSummary]:
    _post(call, command)
    return answer(HTTPStatus.ACCEPTED, api_answers.summary(call))


def _post(call: Call, command: Steering) -> None:
    assert call.owner_task, "only a call with a container is told anything"
    with about(call.call_id):
        control_plane().mailbox.post(call.owner_task, call.call_id, command)
        log.info("command posted", command=type(command).__name__, task_id=call.owner_task)
