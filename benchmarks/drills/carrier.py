"""Telnyx in virtual time, at the border of HTTP: Call Control requests in, signed webhooks out.

It carries out what it is asked as the documents say: a `command_id` is ignored for 60 s, a leg has
one stream, and what is over is refused with 90018. It keeps what had an effect, so that a drill can
count what was done twice or not at all.
"""

import asyncio
import json
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from functools import partial
from itertools import count
from typing import Any
from urllib.parse import unquote, urlsplit

import msgspec

from benchmarks.drills.lockstep_loop import LockstepLoop
from benchmarks.drills.media_line import MediaLine, StreamRequest
from benchmarks.drills.phone_leg import PhoneLeg
from benchmarks.drills.system import Executed, LegState
from benchmarks.drills.webhook_post import Handler, WebhookPost
from simulators.telnyx import events
from simulators.telnyx.webhooks import Event

COMMAND_ID_SECONDS = 60.0
LATENCY_SECONDS = 0.05
SPEAKING_SECONDS = 3.0

_ACTION = re.compile(r"/v2/calls/([^/]+)(?:/actions/(\w+))?$")


@dataclass(frozen=True, slots=True)
class HttpAnswer:
    """The part of urllib3's response that `TelnyxClient` uses."""

    status: int
    data: bytes
    headers: Mapping[str, str] = field(default_factory=dict)


class Refused(Exception):
    def __init__(self, status: int, code: str, title: str) -> None:
        super().__init__(title)
        error = {"code": code, "title": title, "detail": title}
        self.answer = HttpAnswer(status, json.dumps({"errors": [error]}).encode())
        self.code = code


@dataclass(slots=True)
class Callee:
    """Who is behind a number; None lets the phone ring."""

    answers_after_seconds: float | None = 1.0


class DrillCarrier:
    """`deliver` is the handler of the webhooks."""

    def __init__(
        self,
        loop: LockstepLoop,
        tasks: asyncio.TaskGroup,
        deliver: Handler,
        now_ms: Callable[[], int],
    ) -> None:
        self.legs: list[PhoneLeg] = []
        self.callees: dict[str, Callee] = {}
        self._loop = loop
        self._now_ms = now_ms
        self._webhooks = WebhookPost(loop, tasks, deliver, now_ms)
        self.public_key = self._webhooks.public_key
        self._numbers = count(1)
        self._event_ids = count(1)
        self._known: dict[tuple[str, str], tuple[float, bytes]] = {}
        self.reports_breaks = True
        """Whether `streaming.stopped` follows a socket that breaks. No document says so."""

    def legs_to(self, number: str) -> list[PhoneLeg]:
        return [leg for leg in self.legs if leg.to == number]

    # Requests. They come from jobs.

    def request(self, method: str, url: str, body: bytes | None = None, **_: Any) -> HttpAnswer:
        """Answer a request, like `urllib3.PoolManager`."""
        self._loop.sleep(LATENCY_SECONDS)
        command = json.loads(body or b"{}")
        path = urlsplit(url).path
        try:
            data = self._dial(command) if path == "/v2/calls" else self._act(path, command)
        except Refused as refusal:
            return refusal.answer
        return HttpAnswer(200, msgspec.json.encode({"data": data}))

    def _dial(self, command: dict[str, Any]) -> dict[str, Any]:
        command_id = command.get("command_id", "")
        known = self._known.get(("dial", command_id))
        if known and self._loop.time() - known[0] < COMMAND_ID_SECONDS:
            return self._data(next(leg for leg in self.legs if leg.control_id.encode() == known[1]))
        linked = self._find(command["link_to"]) if "link_to" in command else None
        leg = self._new_leg(command, linked.session_id if linked else None)
        leg.executed.append(Executed("dial", command_id))
        self._known["dial", command_id] = self._loop.time(), leg.control_id.encode()
        return self._data(leg)

    def _new_leg(self, command: dict[str, Any], session_id: str | None) -> PhoneLeg:
        number = next(self._numbers)
        leg = PhoneLeg(
            number,
            command["to"],
            command["from"],
            session_id or f"session-{number}",
            self._loop.time(),
            command.get("client_state", ""),
            stream=_stream_request(command),
            retries_ms=_retries_of(command),
        )
        self.legs.append(leg)
        self._loop.call_soon(self._ring, leg)
        return leg

    def _act(self, path: str, command: dict[str, Any]) -> dict[str, Any]:
        matched = _ACTION.search(path)
        if matched is None:
            raise Refused(404, "10005", "Resource not found")
        leg, action = self._find(unquote(matched[1])), matched[2]
        if action is None:
            return self._data(leg) | self._times(leg)
        command_id = command.get("command_id", "")
        seen = self._known.get((leg.control_id, command_id))
        if not leg.is_up:
            leg.refused.append(f"{action} 90018")
            raise Refused(422, "90018", "Call has already ended")
        if command_id and seen and self._loop.time() - seen[0] < COMMAND_ID_SECONDS:
            return {"result": "ok"}
        before, leg.client_state = leg.client_state, command.get("client_state", leg.client_state)
        try:
            self._carry_out(action, leg, command)
        except Refused as refusal:
            leg.client_state = before
            leg.refused.append(f"{action} {refusal.code}")
            raise
        leg.executed.append(Executed(action, command_id))
        self._known[leg.control_id, command_id] = self._loop.time(), b""
        return {"result": "ok"}

    def _carry_out(self, action: str, leg: PhoneLeg, command: dict[str, Any]) -> None:
        match action:
            case "hangup":
                leg.ended_by_us = True
                self._loop.call_soon(self.end, leg, "normal_clearing", _our_side(leg))
            case "answer":
                leg.retries_ms = _retries_of(command)
                self._loop.call_soon(self.pick_up, leg)
            case "reject":
                leg.ended_by_us = True
                self._loop.call_soon(self.end, leg, "call_rejected", "callee")
            case _:
                if leg.state is not LegState.ANSWERED:
                    raise Refused(422, "90034", "Call has not been answered yet")
                self._carry_out_answered(action, leg, command)

    def _carry_out_answered(self, action: str, leg: PhoneLeg, command: dict[str, Any]) -> None:
        match action:
            case "streaming_start":
                if leg.line is not None and not leg.line.is_over:
                    raise Refused(422, "90045", "Media streaming is already in use for this call")
                request = _stream_request(command)
                assert request is not None, "streaming_start names a URL"
                self._open_line(leg, request)
            case "streaming_stop":
                if leg.line is None or leg.line.is_over:
                    raise Refused(422, "90048", "Media streaming is not used for this call")
                self._loop.call_soon(leg.line.stop)
            case "transfer":
                state = command.get("target_leg_client_state", "")
                target = self._new_leg(command | {"client_state": state}, leg.session_id)
                leg.partner, target.partner = target, leg
            case "bridge":
                other = self._find(command["call_control_id"])
                leg.partner, other.partner = other, leg
                self._loop.call_soon(self._post_bridged, leg, other)
            case "speak":
                self.post(leg, events.SpeakStartedPayload)
                ended = partial(self.post, leg, events.SpeakEndedPayload)
                self._loop.call_later(SPEAKING_SECONDS, ended)

    def _find(self, control_id: str) -> PhoneLeg:
        for leg in self.legs:
            if leg.control_id == control_id:
                return leg
        raise Refused(404, "10005", "Resource not found")

    def _data(self, leg: PhoneLeg) -> dict[str, Any]:
        return {
            "call_control_id": leg.control_id,
            "call_leg_id": leg.leg_id,
            "call_session_id": leg.session_id,
            "client_state": leg.client_state,
            "is_alive": False,
        }

    def _times(self, leg: PhoneLeg) -> dict[str, Any]:
        """Return the times in the response of `GET /v2/calls/{id}`."""
        ended = leg.ended_at if leg.ended_at is not None else self._loop.time()
        return {
            "is_alive": leg.is_up,
            "start_time": self._text_of(leg.began_at),
            "end_time": None if leg.is_up else self._text_of(ended),
            "call_duration": int(ended - leg.began_at),
        }

    # What people do. On the loop.

    def call_us(self, to: str, from_: str) -> PhoneLeg:
        """Somebody dials one of our numbers."""
        number = next(self._numbers)
        leg = PhoneLeg(number, to, from_, f"session-{number}", self._loop.time(), "", True)
        self.legs.append(leg)
        self._post_initiated(leg)
        return leg

    def _ring(self, leg: PhoneLeg) -> None:
        self._post_initiated(leg)
        if leg.stream:
            self._open_line(leg, leg.stream)
        callee = self.callees.get(leg.to, Callee())
        if callee.answers_after_seconds is not None:
            self._loop.call_later(callee.answers_after_seconds, self.pick_up, leg)

    def pick_up(self, leg: PhoneLeg) -> None:
        if leg.state is not LegState.RINGING:
            return
        leg.state, leg.answered_at = LegState.ANSWERED, self._loop.time()
        self.post(leg, events.CallAnsweredPayload, codec="PCMU")
        if leg.line:
            leg.line.start(leg.control_id, leg.client_state)
        if leg.partner:
            self._post_bridged(leg.partner, leg)

    def break_sockets(self) -> None:
        """Every media socket is reset, and every leg stays up."""
        for leg in self.legs:
            if leg.line:
                leg.line.drop()

    def hang_up(self, leg: PhoneLeg) -> None:
        """The person ends the call."""
        self.end(leg, "normal_clearing", _other_side(leg))

    def end(self, leg: PhoneLeg, cause: str, source: str) -> None:
        if not leg.is_up:
            return
        leg.state, leg.ended_at = LegState.ENDED, self._loop.time()
        if leg.line:
            leg.line.stop()
        fields = {"hangup_cause": cause, "hangup_source": source, "sip_hangup_cause": "200"}
        self.post(leg, events.CallHangupPayload, end_time=self._text_of(leg.ended_at), **fields)
        if leg.partner and leg.answered_at is not None:
            self.end(leg.partner, "normal_clearing", "unknown")

    def _open_line(self, leg: PhoneLeg, request: StreamRequest) -> None:
        leg.line = line = MediaLine(self._loop, request, leg.heard, partial(self._on_end, leg))
        leg.lines_opened += 1
        if leg.state is LegState.ANSWERED:
            line.start(leg.control_id, leg.client_state)
        self._loop.call_soon(line.open)

    def _on_end(self, leg: PhoneLeg, line: MediaLine) -> None:
        if line.was_open and (line.was_stopped or self.reports_breaks):
            self.post(leg, events.StreamingStoppedPayload, stream_url=line.request.url)
        elif leg.is_up and not line.was_open:
            params = events.StreamParams(line.request.url, "inbound_track")
            fields = {"failure_reason": "connection_failed", "stream_params": params}
            self.post(leg, events.StreamingFailedPayload, stream_id="stream", **fields)

    # Webhooks.

    def _post_initiated(self, leg: PhoneLeg) -> None:
        direction, state = ("incoming", "parked") if leg.is_incoming else ("outgoing", "bridging")
        fields = {"caller_id_name": leg.from_, "offered_codecs": "PCMU"}
        self.post(leg, events.CallInitiatedPayload, direction=direction, state=state, **fields)

    def _post_bridged(self, one: PhoneLeg, other: PhoneLeg) -> None:
        self.post(one, events.CallBridgedPayload)
        self.post(other, events.CallBridgedPayload)

    def post(self, leg: PhoneLeg, kind: type[events.WebhookPayload], **fields: Any) -> None:
        of_leg = {"from_": leg.from_, "to": leg.to, "start_time": self._text_of(leg.began_at)}
        payload = kind(
            call_control_id=leg.control_id,
            call_leg_id=leg.leg_id,
            call_session_id=leg.session_id,
            connection_id="connection-1",
            client_state=leg.client_state or None,
            **(of_leg if issubclass(kind, events.LegPayload) else {}),
            **fields,
        )
        event_id = f"event-{next(self._event_ids)}"
        event = Event(kind.event_type, event_id, self._text_of(self._loop.time()), payload)
        self._loop.call_soon(self._webhooks.begin, leg, event)

    def _text_of(self, at: float) -> str:
        ms = self._now_ms() + (at - self._loop.time()) * 1000
        return datetime.fromtimestamp(ms / 1000, UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ")


def _stream_request(command: dict[str, Any]) -> StreamRequest | None:
    if not command.get("stream_url"):
        return None
    return StreamRequest(command["stream_url"], command.get("stream_auth_token", ""))


def _retries_of(command: dict[str, Any]) -> dict[str, list[int]]:
    policies = command.get("webhook_retries_policies") or {}
    return {name: policy["retries_ms"] for name, policy in policies.items()}


def _our_side(leg: PhoneLeg) -> str:
    return "callee" if leg.is_incoming else "caller"


def _other_side(leg: PhoneLeg) -> str:
    return "caller" if leg.is_incoming else "callee"
