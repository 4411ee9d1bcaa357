"""What each Call Control command does to a call, and when it is refused."""

import uuid
from functools import singledispatch

from msgspec.structs import replace as replace_fields

from simulators.telnyx import events
from simulators.telnyx.call import SimulatedCall
from simulators.telnyx.commands import (
    AnswerBody,
    ApiError,
    BridgeBody,
    CommandBody,
    HangupBody,
    PlaybackStartBody,
    RecordStartBody,
    RecordStopBody,
    RejectBody,
    SendDtmfBody,
    SpeakBody,
    StreamingStartBody,
    StreamingStopBody,
    TransferBody,
)
from simulators.telnyx.reports import CallEnding, CallPlan

REJECTIONS = {
    "CALL_REJECTED": CallEnding("call_rejected", "callee", "603"),
    "USER_BUSY": CallEnding("user_busy", "callee", "486"),
    "NOT_FOUND": CallEnding("not_found", "callee", "404"),
    "TEMPORARILY_UNAVAILABLE": CallEnding("unspecified", "callee", "480"),
}


def refuse_after_end(call: SimulatedCall) -> None:
    if call.state == "ended" and call.faults.undocumented.after_hangup != "accepted":
        is_usual = call.faults.undocumented.after_hangup == "already_over"
        code = "90018" if is_usual else "90099"
        raise ApiError(422, code, "Call has already ended", "This call is no longer active")


def _require_answer(call: SimulatedCall, code: str = "90034") -> None:
    if call.state != "answered":
        raise ApiError(422, code, "Call not answered yet", "This call has not been answered")


def _require_incoming(call: SimulatedCall) -> None:
    if call.plan.direction == "outgoing":
        raise ApiError(422, "90102", "Invalid command for an outbound call")


@singledispatch
def carry_out(command: CommandBody, call: SimulatedCall) -> None:
    """Execute a command. client_state_update needs nothing more, because every command sets
    client_state."""


@carry_out.register
def _answer(command: AnswerBody, call: SimulatedCall) -> None:
    _require_incoming(call)
    if call.state == "answered":
        return
    call.webhook_url = command.webhook_url or call.webhook_url
    if command.record:
        call.recording_id = str(uuid.uuid4())
    if command.stream_url:
        # `answer` has neither parameter. Only streaming_start has both, and dial has the token.
        has_token = call.faults.undocumented.answer_has_token == "header"
        token = command.stream_auth_token if has_token else None
        call.streams.start(replace_fields(command, stream_auth_token=token, custom_parameters=[]))
    call.pick_up()


@carry_out.register
def _reject(command: RejectBody, call: SimulatedCall) -> None:
    _require_incoming(call)
    call.end(REJECTIONS[command.cause])


@carry_out.register
def _hangup(command: HangupBody, call: SimulatedCall) -> None:
    call.hang_up("agent")


@carry_out.register
def _streaming_start(command: StreamingStartBody, call: SimulatedCall) -> None:
    _require_answer(call)
    if call.faults.streaming_start_refused:
        raise ApiError(422, "90046", "Media streaming failed to start", "Connection was refused")
    is_24k = command.stream_bidirectional_sampling_rate == 24_000
    if is_24k and not call.faults.undocumented.accepts_l16_24k:
        raise ApiError(422, "10032", "Value outside of enumeration")
    call.streams.start(command)


@carry_out.register
def _streaming_stop(command: StreamingStopBody, call: SimulatedCall) -> None:
    call.streams.stop()


@carry_out.register
def _transfer(command: TransferBody, call: SimulatedCall) -> None:
    _require_answer(call)
    plan = CallPlan(
        direction="outgoing",
        to=command.to,
        from_=command.from_ or call.to,
        connection_id=call.plan.connection_id,
        call_session_id=call.plan.call_session_id,
        client_state=command.target_leg_client_state,
        webhook_url=command.webhook_url or call.webhook_url,
        timeout_ms=command.timeout_secs * 1000,
        time_limit_ms=command.time_limit_secs * 1000,
    )
    call.partner = call.exchange.place(plan, call.person.listen_only)
    call.partner.partner = call


@carry_out.register
def _bridge(command: BridgeBody, call: SimulatedCall) -> None:
    _require_answer(call)
    wanted = command.call_control_id
    other = next((each for each in call.exchange.calls if each.call_control_id == wanted), None)
    if other is None:
        raise ApiError(422, "90015", "Invalid Call Control ID", "", "/call_control_id")
    refuse_after_end(other)
    _require_answer(other)
    call.bridge(other)


@carry_out.register
def _send_dtmf(command: SendDtmfBody, call: SimulatedCall) -> None:
    _require_answer(call)


@carry_out.register
def _record_start(command: RecordStartBody, call: SimulatedCall) -> None:
    _require_answer(call, "90020")
    call.recording_id = str(uuid.uuid4())


@carry_out.register
def _record_stop(command: RecordStopBody, call: SimulatedCall) -> None:
    if call.recording_id is not None:
        call.post_recording()


@carry_out.register
def _playback_start(command: PlaybackStartBody, call: SimulatedCall) -> None:
    if not (command.audio_url or command.media_name or command.playback_content):
        raise ApiError(422, "10004", "Missing required parameter", "audio_url", "/audio_url")
    _require_answer(call)
    call.post(events.PlaybackStartedPayload, media_url=command.audio_url)
    call.post(events.PlaybackEndedPayload, media_url=command.audio_url)


@carry_out.register
def _speak(command: SpeakBody, call: SimulatedCall) -> None:
    _require_answer(call)
    call.speak(command.payload)
