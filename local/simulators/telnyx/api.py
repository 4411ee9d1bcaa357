"""The REST API of the Telnyx simulator: Call Control v2 over HTTP, with its errors."""

import asyncio
import dataclasses
import time
from collections import Counter
from dataclasses import dataclass
from typing import Any, Protocol

import msgspec
from msgspec.structs import replace
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from simulators.telnyx.account import Account, AccountApi
from simulators.telnyx.actions import carry_out, refuse_after_end
from simulators.telnyx.behaviour import CarrierFaults, DialFault, Person
from simulators.telnyx.call import SimulatedCall
from simulators.telnyx.commands import ACTIONS, ApiError, CommandBody, DialBody, parse
from simulators.telnyx.reports import CallPlan, ReceivedCommand

COMMAND_ID_WINDOW_S = 60.0
BEGINS_RECORDING = ("answer", "record_start")
RATE_HEADERS = {
    "x-ratelimit-limit": "1",
    "x-ratelimit-remaining": "0",
    "x-ratelimit-reset": "1",
}
FAILURES_BEFORE_SUCCESS = 2


class Switch(Protocol):
    """What the API needs from the simulator."""

    calls: list[SimulatedCall]
    dials: list[ReceivedCommand]
    closing: asyncio.Event
    latency_ms: int
    account: Account

    @property
    def public_key(self) -> str: ...

    def behind(self, number: str) -> tuple[Person, CarrierFaults]: ...
    def place(self, plan: CallPlan, person: Person | None = None) -> SimulatedCall: ...
    def notify(self, call_control_id: str, name: str, detail: str) -> None: ...


@dataclass(frozen=True, slots=True)
class Dialled:
    at_s: float
    call: SimulatedCall


class CallControlApi:
    def __init__(self, switch: Switch) -> None:
        self._switch = switch
        self._dialled: dict[str, Dialled] = {}
        self._failures: Counter[str] = Counter()
        self.app = Starlette(
            routes=[
                Route("/v2/calls", self._dial, methods=["POST"]),
                Route("/v2/calls/{id}", self._show, methods=["GET"]),
                Route("/v2/calls/{id}/actions/{action}", self._act, methods=["POST", "PUT"]),
                Route("/v2/connections/{id}/active_calls", self._list, methods=["GET"]),
                Route("/v2/recordings/{id}.mp3", self._recording, methods=["GET"]),
                *AccountApi(switch.account, lambda: switch.public_key, self._admit).routes(),
            ],
            exception_handlers={ApiError: _error_response, 404: _no_such_path, 405: _no_such_path},
        )

    async def _dial(self, request: Request) -> Response:
        body = await self._admit(request)
        try:
            response = await self._place(parse(body, DialBody))
        except ApiError as error:
            self._switch.dials.append(_to_received_command("dial", body, error.status))
            raise
        self._switch.dials.append(_to_received_command("dial", body, response.status_code))
        return response

    async def _place(self, dial: DialBody) -> Response:
        if dial.connection_id.startswith("wrong"):
            raise ApiError(422, "10015", "Invalid connection_id", "", "/connection_id")
        earlier = self._dialled.get(dial.command_id or "")
        _, faults = self._switch.behind(dial.numbers[0])
        if earlier and time.monotonic() - earlier.at_s < COMMAND_ID_WINDOW_S:
            repeated = faults.undocumented.dial_repeated
            if repeated == "refused":
                raise ApiError(422, "10015", "Duplicate command_id")
            if repeated == "same_call":
                return JSONResponse({"data": _call_data(earlier.call)})
        if faults.dial == "forbidden":
            return _forbidden()
        if faults.dial is not None:
            await self._spoil(faults.dial, dial.numbers[0])
        call = self._switch.place(*self._plan_linked(dial))
        if dial.command_id:
            self._dialled[dial.command_id] = Dialled(time.monotonic(), call)
        if faults.webhook_before_dial_answer and call.webhook_url:
            await call.webhooks[0].delivered.wait()
        return JSONResponse({"data": _call_data(call)})

    def _plan_linked(self, dial: DialBody) -> tuple[CallPlan, Person | None]:
        """Plan a leg that joins another call's session. The person on it only listens."""
        if dial.link_to is None:
            return _plan(dial), None
        session_id = self._find(dial.link_to).plan.call_session_id
        person, _ = self._switch.behind(dial.numbers[0])
        return dataclasses.replace(_plan(dial), call_session_id=session_id), person.listen_only

    async def _spoil(self, fault: DialFault, number: str) -> None:
        match fault:
            case "invalid":
                raise ApiError(422, "10015", "No outbound profile", "", "/connection_id")
            case "rate_limited":
                raise ApiError(429, "10011", "Too many requests", headers=RATE_HEADERS)
            case "never_answers":
                await self._switch.closing.wait()
                raise ApiError(500, "10007", "Unexpected error")
            case "fails_twice":
                self._failures[number] += 1
                if self._failures[number] % (FAILURES_BEFORE_SUCCESS + 1):
                    raise ApiError(500, "10007", "Unexpected error")

    async def _act(self, request: Request) -> Response:
        body = await self._admit(request)
        call = self._find(request.path_params["id"])
        name = request.path_params["action"]
        kind = ACTIONS.get(name)
        if kind is None or (request.method == "PUT") != (name == "client_state_update"):
            raise ApiError(404, "10005", "Resource not found")
        try:
            _command(call, parse(body, kind))
        except ApiError as error:
            self._record(call, _to_received_command(name, body, error.status))
            raise
        self._record(call, _to_received_command(name, body, 200))
        recording_id = call.recording_id if name in BEGINS_RECORDING else None
        return JSONResponse(
            {"data": {"result": "ok"} | ({"recording_id": recording_id} if recording_id else {})}
        )

    def _record(self, call: SimulatedCall, command: ReceivedCommand) -> None:
        call.commands.append(command)
        self._switch.notify(call.call_control_id, "command", f"{command.name} {command.status}")

    async def _show(self, request: Request) -> Response:
        await self._admit(request)
        call = self._find(request.path_params["id"])
        headers = RATE_HEADERS if call.faults.undocumented.tells_rate_limit else {}
        if call.state == "ended" and call.faults.undocumented.lookup_after_end == "forgotten":
            raise ApiError(404, "10005", "Resource not found", headers=headers)
        return JSONResponse({"data": _call_data(call) | _times(call)}, headers=headers)

    async def _list(self, request: Request) -> Response:
        await self._admit(request)
        data = [
            _call_data(call) | {"call_duration": call.duration_s}
            for call in self._switch.calls
            if call.state != "ended" and call.plan.connection_id == request.path_params["id"]
        ]
        return JSONResponse({"data": data, "meta": {"total_items": len(data), "cursors": {}}})

    async def _recording(self, request: Request) -> Response:
        """Serve a recording without a key, as a signed link does."""
        recordings = (call.recordings.get(request.path_params["id"]) for call in self._switch.calls)
        if sound := next(filter(None, recordings), None):
            mp3 = await asyncio.to_thread(sound.to_mp3)
            return Response(mp3, media_type="audio/mpeg")
        raise ApiError(404, "10005", "Resource not found")

    async def _admit(self, request: Request) -> bytes:
        scheme, _, key = request.headers.get("authorization", "").partition(" ")
        if scheme != "Bearer" or not key or key.startswith("KEY-wrong"):
            raise ApiError(401, "10009", "Authentication failed", "No key found matching the ID")
        await asyncio.sleep(self._switch.latency_ms / 1000)
        return await request.body()

    def _find(self, call_control_id: str) -> SimulatedCall:
        if not call_control_id.startswith(("v2:", "v3:")):
            raise ApiError(422, "90015", "Invalid Call Control ID", "", "/call_control_id")
        for call in self._switch.calls:
            if call.call_control_id == call_control_id:
                return call
        raise ApiError(404, "10005", "Resource not found")


def _command(call: SimulatedCall, command: CommandBody) -> None:
    refuse_after_end(call)
    undocumented = call.faults.undocumented
    window_s = undocumented.command_id_window_seconds
    if command.command_id is not None and call.knows(command.command_id, window_s):
        if undocumented.refuses_used_command_id:
            raise ApiError(422, "10015", "Duplicate command_id")
        return
    before = call.client_state
    call.client_state = command.client_state or before  # of every webhook from now on
    try:
        carry_out(command, call)
    except ApiError:
        call.client_state = before
        raise


def _plan(dial: DialBody) -> CallPlan:
    return CallPlan(
        direction="outgoing",
        to=dial.numbers[0],
        from_=dial.from_,
        connection_id=dial.connection_id,
        client_state=dial.client_state,
        webhook_url=dial.webhook_url,
        retries_ms={name: each.retries_ms for name, each in dial.webhook_retries_policies.items()},
        # Only streaming_start has custom parameters.
        stream=replace(dial, custom_parameters=[]) if dial.stream_url else None,
        timeout_ms=dial.timeout_secs * 1000,
        timeout_cause="timeout" if dial.retry_on_timeout else "no_answer",
        time_limit_ms=dial.time_limit_secs * 1000,
        detection=dial.answering_machine_detection,
        recorded=dial.record is not None,
    )


def _call_data(call: SimulatedCall) -> dict[str, Any]:
    """Return the body of a dial's response. is_alive is documented as false there."""
    return {
        "record_type": "call",
        "call_control_id": call.call_control_id,
        "call_leg_id": call.call_leg_id,
        "call_session_id": call.plan.call_session_id,
        "is_alive": False,
        "client_state": call.client_state,
    } | ({"recording_id": call.recording_id} if call.plan.recorded else {})


def _times(call: SimulatedCall) -> dict[str, Any]:
    return {
        "is_alive": call.state != "ended" or call.faults.undocumented.lookup_after_end == "stale",
        "start_time": call.start_time,
        "end_time": call.end_time,
        "call_duration": call.duration_s,
    }


def _to_received_command(name: str, body: bytes, status: int) -> ReceivedCommand:
    try:
        fields = msgspec.json.decode(body or b"{}", type=dict[str, Any])
    except msgspec.DecodeError:
        fields = {}
    return ReceivedCommand(name, fields, fields.get("command_id"), status, time.monotonic())


def _forbidden() -> Response:
    """Return a refusal as seen from the real API: a number as code, no title, and `data` beside
    `errors`."""
    detail = "Dialed number is not included in whitelisted countries or is not verified D60"
    return JSONResponse(
        {
            "data": {"call_control_id": "v3:refused"},
            "errors": [{"code": 10010, "detail": detail}],
            "telnyx_error": {"error_code": "D60"},
        },
        403,
    )


async def _error_response(_: Request, error: Exception) -> Response:
    assert isinstance(error, ApiError)
    reason: dict[str, Any] = {"code": error.code, "title": error.title, "detail": error.detail}
    if error.pointer is not None:
        reason["source"] = {"pointer": error.pointer}
    return JSONResponse({"errors": [reason]}, error.status, dict(error.headers))


async def _no_such_path(request: Request, _: Exception) -> Response:
    return await _error_response(request, ApiError(404, "10005", "Resource not found"))
