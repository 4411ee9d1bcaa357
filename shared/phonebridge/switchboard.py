"""Where lifecycle, store and carrier meet: load, advance, save, carry out."""

import uuid
from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace
from typing import Protocol

from aws_lambda_powertools import Logger

from phonebridge import lifecycle
from phonebridge.call import (
    LONGEST_CALL_ID,
    Answer,
    Call,
    CallArrived,
    CallCommand,
    CallEvent,
    CallFailed,
    CallHungUp,
    CallRequested,
    CallTurnedAway,
    Dial,
    DialAccepted,
    Fault,
    HangUp,
    Hangup,
    Leg,
    Reject,
    StartStreaming,
)
from phonebridge.call_config import CallConfig
from phonebridge.errors import Conflict, TelnyxError, TelnyxRefused, UnknownCall
from phonebridge.telnyx.webhook import Webhook, inbound_call_id

CALL_ALREADY_ENDED = "90018"
ATTEMPTS = 10
"""Writers of one call: a few webhooks at a time, the API, its container and the sweeper."""

# Telnyx's own names of what a call may ask for (Call Control, "Call commands").
_NAMES: dict[type[CallCommand], str] = {
    Dial: "dial",
    Answer: "answer",
    Reject: "reject",
    StartStreaming: "streaming_start",
    HangUp: "hangup",
}


@dataclass(frozen=True, slots=True)
class TimelineEntry:
    """One thing that happened to a call; the same `entry_id` again adds nothing."""

    at_ms: int
    entry_id: str
    what: str
    detail: str = ""


class CallStore(Protocol):
    """The records of calls. `save` raises `Conflict` when another writer was faster."""

    def create(self, call: Call, config: CallConfig) -> bool:
        """False when the call exists already."""

    def load(self, call_id: str) -> Call | None: ...
    def save(self, call: Call) -> None: ...
    def config(self, call_id: str) -> CallConfig | None: ...
    def note(self, call_id: str, entry: TimelineEntry) -> None: ...
    def link(self, leg: Leg, call_id: str) -> None: ...
    def linked(self, leg: Leg) -> str | None: ...


class Carrier(Protocol):
    """Who carries out what a call asks for. Raises `TelnyxError`."""

    def execute(self, command: CallCommand, call: Call, config: CallConfig) -> Leg | None:
        """The leg, when the command dialled one."""


class Directory(Protocol):
    """Who answers inbound calls."""

    def answering(self, number: str) -> CallConfig | None:
        """How to speak with whoever calls this number; None if nobody answers it."""


class Switchboard:
    """Every change of a call goes through here. Raises `UnknownCall` and `InvalidTransition`."""

    def __init__(
        self, store: CallStore, carrier: Carrier, now_ms: Callable[[], int], log: Logger
    ) -> None:
        self._store = store
        self._carrier = carrier
        self._now_ms = now_ms
        self._log = log

    def place(self, call: Call, config: CallConfig) -> Call:
        """Store and dial a new outbound call. Raises `TelnyxError` if the carrier refuses; the
        record then says why."""
        with_stream = config.stream_setup.begins_with_dial
        return self._begin(call, config, CallRequested(with_stream))

    def deliver(self, webhook: Webhook, directory: Directory) -> Call | None:
        """Apply a verified webhook; None when it is about no call of ours."""
        if webhook.arrival:
            return self._receive(webhook, webhook.arrival, directory)
        call_id = self._call_of(webhook)
        if call_id is None:
            self._log.warning("webhook for an unknown call", event_type=webhook.event_type)
            return None
        return self._deliver_to(call_id, webhook)

    def apply(self, call_id: str, event: CallEvent) -> Call:
        """Advance, save, then carry out what the call asks for. The loser of a race starts over
        with what the winner left."""
        for _ in range(ATTEMPTS):
            before = self._store.load(call_id)
            if before is None:
                raise UnknownCall(call_id)
            after, commands = lifecycle.advance(before, event)
            if after != before:
                after = self._dated(after)
                try:
                    self._store.save(after)
                except Conflict:
                    continue
                self._log_move(before, after, event)
            return self._carry_out(commands, after, None)
        raise Conflict(f"Call {call_id} changed {ATTEMPTS} times while one event was applied.")

    def _begin(
        self, call: Call, config: CallConfig, event: CallRequested | CallArrived | CallTurnedAway
    ) -> Call:
        begun, commands = lifecycle.advance(call, event)
        begun = self._dated(begun)
        if not self._store.create(begun, config):
            return self.apply(call.call_id, event)
        self._log_move(call, begun, event)
        return self._carry_out(commands, begun, config)

    def _receive(self, webhook: Webhook, arrival: Call, directory: Directory) -> Call:
        if self._store.load(arrival.call_id):
            # A repetition: who answers was decided when the call came, and may have changed since.
            return self._deliver_to(arrival.call_id, webhook)
        config = directory.answering(arrival.to)
        event = CallArrived(webhook.leg) if config else CallTurnedAway(webhook.leg)
        call = self._begin(arrival, config or CallConfig(), event)
        self._store.note(call.call_id, _entry(webhook))
        return call

    def _deliver_to(self, call_id: str, webhook: Webhook) -> Call:
        # Applied first and noted after: were it the other way round, a crash between the two
        # would make the redelivery look like a repetition, and the event would be lost.
        if webhook.event is not None:
            call = self.apply(call_id, webhook.event)
        else:
            call = self._load(call_id)
        self._store.note(call_id, _entry(webhook))
        return call

    def _dated(self, call: Call) -> Call:
        return replace(call, changed_at_ms=self._now_ms())

    def _load(self, call_id: str) -> Call:
        call = self._store.load(call_id)
        if call is None:
            raise UnknownCall(call_id)
        return call

    def _call_of(self, webhook: Webhook) -> str | None:
        """`client_state` names the call, but may be missing or another application's, and the leg
        may bear another id than the dial's answer gave it."""
        named = webhook.client_state
        if named and len(named) > LONGEST_CALL_ID:
            named = None
        candidates = (
            named or self._store.linked(webhook.leg),
            inbound_call_id(webhook.leg),
        )
        return next((c for c in candidates if c and self._store.load(c)), None)

    def _carry_out(
        self, commands: Iterable[CallCommand], call: Call, config: CallConfig | None
    ) -> Call:
        for command in commands:
            config = config or self._store.config(call.call_id) or CallConfig()
            call = self._execute(command, call, config)
        return call

    def _execute(self, command: CallCommand, call: Call, config: CallConfig) -> Call:
        try:
            leg = self._carrier.execute(command, call, config)
        except TelnyxError as error:
            return self._refused(command, call, error)
        done = self._entry(_NAMES[type(command)], "")
        if leg:
            # First of all: whatever fails below, webhooks must find the call that now rings.
            self._store.link(leg, call.call_id)
            call = self.apply(call.call_id, DialAccepted(leg))
        self._store.note(call.call_id, done)
        return call

    def _refused(self, command: CallCommand, call: Call, error: TelnyxError) -> Call:
        now_ms = self._now_ms()
        if isinstance(error, TelnyxRefused) and error.code == CALL_ALREADY_ENDED:
            hangup = Hangup(lifecycle.FOUND_ENDED, "unknown", now_ms)
            leg = call.leg or Leg("")
            return self.apply(call.call_id, CallHungUp(leg, hangup))
        name = _NAMES[type(command)]
        self._log.error(f"{name} FAILED", reason=str(error))
        if not isinstance(command, HangUp):
            fault = Fault(f"{name}_failed", str(error), now_ms)
            call = self.apply(call.call_id, CallFailed(fault))
        self._store.note(call.call_id, self._entry(f"{name} FAILED", str(error)))
        if isinstance(command, Dial | HangUp):
            raise error
        return call

    def _entry(self, what: str, detail: str) -> TimelineEntry:
        return TimelineEntry(self._now_ms(), str(uuid.uuid4()), what, detail)

    def _log_move(self, before: Call, after: Call, event: CallEvent) -> None:
        if before.status is not after.status:
            self._log.info(
                "call status changed",
                before=before.status,
                after=after.status,
                event=type(event).__name__,
                outcome=after.outcome,
                reason=after.reason,
            )


def _entry(webhook: Webhook) -> TimelineEntry:
    return TimelineEntry(
        webhook.occurred_at_ms, webhook.event_id, webhook.event_type, webhook.detail
    )
