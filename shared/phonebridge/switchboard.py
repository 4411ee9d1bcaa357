"""Connects lifecycle, store and carrier: it loads a call, advances it, saves it, and carries out
the commands."""

import traceback
import uuid
from collections.abc import Callable, Iterable
from dataclasses import replace

from aws_lambda_powertools import Logger

from phonebridge.call import lifecycle
from phonebridge.call.call import FOUND_ENDED, Call, CallStatus, Fault, Hangup, Leg
from phonebridge.call.commands import (
    Answer,
    CallCommand,
    CarrierCommand,
    Dial,
    HangUp,
    Reject,
    Report,
    ReportAnswer,
    ReportMachine,
    SendDigits,
    StartStreaming,
    StopStreaming,
)
from phonebridge.call.config import CallConfig
from phonebridge.call.events import (
    CallArrived,
    CallEvent,
    CallFailed,
    CallHungUp,
    CallRequested,
    CallTurnedAway,
    DialAccepted,
)
from phonebridge.call.steering import Answered, MachineAnswered, Steering, TransferFinished
from phonebridge.call.transfer import (
    BridgeLegs,
    DialTarget,
    HangUpTarget,
    ReportTransfer,
    SpeakSummary,
    TargetInitiated,
    TransferLeg,
    TransferRefused,
)
from phonebridge.errors import (
    CommandFailed,
    Conflict,
    NotConfigured,
    TelnyxError,
    TelnyxRefused,
    UnknownCall,
)
from phonebridge.observability.tracing import Span
from phonebridge.ports import CallStore, Carrier, Directory, Mailbox, TimelineEntry
from phonebridge.telnyx.correlation import MatchedLeg
from phonebridge.telnyx.leg_name import leg_name
from phonebridge.telnyx.refusals import tells_of_end
from phonebridge.telnyx.webhook import Webhook

ATTEMPTS = 10
"""A call has few concurrent writers: some webhooks, the API, its container and the sweep."""
NEED_CONFIG = (Dial, Answer, StartStreaming)

# Telnyx's names of the commands (Call Control, "Call commands").
_NAMES: dict[type[CarrierCommand], str] = {
    Dial: "dial",
    Answer: "answer",
    Reject: "reject",
    StartStreaming: "streaming_start",
    StopStreaming: "streaming_stop",
    SendDigits: "send_dtmf",
    HangUp: "hangup",
    TransferLeg: "transfer",
    DialTarget: "dial of transfer target",
    SpeakSummary: "speak",
    BridgeLegs: "bridge",
    HangUpTarget: "hangup of transfer target",
}


class Switchboard:
    """Every change of a call goes through the switchboard. Raises `UnknownCall` and
    `InvalidTransition`."""

    def __init__(
        self,
        store: CallStore,
        carrier: Carrier,
        mailbox: Mailbox,
        now_ms: Callable[[], int],
        log: Logger,
        trace: Callable[[Span], object] = lambda span: None,
        ended: Callable[[Call], object] = lambda call: None,
    ) -> None:
        """`ended` is called after every event of an ended call."""
        self._store = store
        self._trace = trace
        self._ended = ended
        self._carrier = carrier
        self._mailbox = mailbox
        self._now_ms = now_ms
        self._log = log

    def place(self, call: Call, config: CallConfig) -> Call:
        """Store and dial a new outbound call. A call that exists already is left unchanged.

        Raises `TelnyxError` if the carrier refuses. The record then has the reason.
        """
        with_stream = config.stream_setup.begins_with_dial
        on_machine = config.machine_detection.mode if config.machine_detection else None
        return self._begin(call, config, CallRequested(with_stream, on_machine))

    def deliver(self, webhook: Webhook, found: MatchedLeg) -> Call:
        """Apply a verified webhook to the call that it is about (`telnyx/correlation.py`)."""
        control_id = webhook.leg.call_control_id or found.control_id
        if webhook.event and not control_id:
            raise Conflict(f"The leg {found.name} is not known yet; deliver the webhook again.")
        if control_id != found.control_id:
            self._store.link_leg(webhook.leg, found.name)
        return self._deliver_to(found.call, found.apply_to(webhook))

    def receive(self, webhook: Webhook, arrival: Call, directory: Directory) -> Call:
        """Answer or reject a new inbound call."""
        if known := self._store.load(arrival.call_id):
            # A repeated webhook: the directory may have changed, but the call keeps the first
            # decision.
            return self._deliver_to(known, webhook)
        config = directory.answering(arrival.to)
        event = CallArrived(webhook.leg) if config else CallTurnedAway(webhook.leg)
        call = self._begin(arrival, config or CallConfig(), event)
        # Later webhooks may lack the `call_leg_id` from which the call's id is made.
        self._store.link_leg(Leg(webhook.leg.call_control_id), call.call_id)
        self._store.add_timeline_entry(call.call_id, _entry(webhook))
        return call

    def apply(self, call_id: str, event: CallEvent) -> Call:
        """Advance and save a call, then carry out its commands. If another writer was faster, start
        again from the state that it left."""
        return self._apply(call_id, event, None)

    def _apply(self, call_id: str, event: CallEvent, loaded: Call | None) -> Call:
        """Apply an event. `loaded` saves the first attempt a read."""
        for _ in range(ATTEMPTS):
            before = loaded or self._load(call_id)
            loaded = None
            after, commands = lifecycle.advance(before, event)
            # Read before saving. Once the call is saved, no retry asks for these commands again.
            config = self._config(call_id, commands)
            if after != before:
                after = self._touch(after)
                try:
                    self._store.save(after)
                except Conflict:
                    continue
                self._log_move(before, after, event)
            after = self._execute_all(commands, after, config)
            if after.status is CallStatus.ENDED:
                self._ended(after)
            return after
        raise Conflict(f"Call {call_id} changed {ATTEMPTS} times while one event was applied.")

    def _begin(
        self, call: Call, config: CallConfig, event: CallRequested | CallArrived | CallTurnedAway
    ) -> Call:
        new_call, commands = lifecycle.advance(call, event)
        new_call = self._touch(new_call)
        if not self._store.create(new_call, config):
            is_placed = isinstance(event, CallRequested)
            return self._load(call.call_id) if is_placed else self.apply(call.call_id, event)
        self._log_move(call, new_call, event)
        return self._execute_all(commands, new_call, config)

    def _deliver_to(self, call: Call, webhook: Webhook) -> Call:
        # Applied first and noted afterwards. In the opposite order, a crash in between would make
        # the redelivered webhook look like a repetition, and the event would be lost.
        if webhook.event is not None:
            call = self._apply(call.call_id, webhook.event, call)
        self._store.add_timeline_entry(call.call_id, _entry(webhook))
        return call

    def _config(self, call_id: str, commands: Iterable[CallCommand]) -> CallConfig:
        """Load the settings only if a command needs them, because they may have 64 KB."""
        if not any(isinstance(command, NEED_CONFIG) for command in commands):
            return CallConfig()
        return self._store.config(call_id) or CallConfig()

    def _touch(self, call: Call) -> Call:
        return replace(call, changed_at_ms=self._now_ms())

    def _load(self, call_id: str) -> Call:
        call = self._store.load(call_id)
        if call is None:
            raise UnknownCall(call_id)
        return call

    def _execute_all(self, commands: Iterable[CallCommand], call: Call, config: CallConfig) -> Call:
        for command in commands:
            call = self._execute(command, call, config)
        return call

    def _execute(self, command: CallCommand, call: Call, config: CallConfig) -> Call:
        if isinstance(command, Report):
            return self._report(command, call)
        try:
            if isinstance(command, TransferLeg | DialTarget) and call.leg and call.transfer:
                # Linked before the target's first webhook, whose `client_state` another program may
                # have replaced.
                self._store.link_session(call.leg, leg_name(call.call_id, call.transfer.number))
            leg = self._carrier.execute(command, call, config)
        except (TelnyxError, NotConfigured) as error:
            return self._on_refused(command, call, error)
        except Exception as error:  # noqa: BLE001 - the border of a command: the record must say so
            return self._on_refused(command, call, self._on_failed(command, call, error))
        return self._on_done(command, call, leg)

    def _on_failed(self, command: CarrierCommand, call: Call, error: Exception) -> CommandFailed:
        """Log only the type of the error and its place. Its text may quote a header, and so a
        key."""
        kind, place = type(error).__name__, traceback.extract_tb(error.__traceback__)[-1]
        name = _NAMES[type(command)]
        self._log.error(
            f"{name} raised an exception", error=kind, place=f"{place.filename}:{place.lineno}"
        )
        return CommandFailed(name, call.call_id, kind)

    def _on_done(self, command: CarrierCommand, call: Call, leg: Leg | None) -> Call:
        """Store the new leg of a command that succeeded.

        An error here must not look like a refusal of the carrier, and must not stop the other
        commands of the call. Webhooks bring the missing facts.
        """
        name = _NAMES[type(command)]
        done = self._entry(name, "")
        try:
            if leg:
                call = self._on_dialed(leg, call, command)
            self._store.add_timeline_entry(call.call_id, done)
        except Exception:  # noqa: BLE001 - the border of a command: the carrier has carried it out
            self._log.exception(f"record of {name} FAILED")
        return call

    def _on_dialed(self, leg: Leg, call: Call, command: CarrierCommand) -> Call:
        # Linked first: whatever fails below, webhooks must find the call that now rings.
        if isinstance(command, DialTarget) and call.transfer:
            number = call.transfer.number
            self._store.link_leg(leg, leg_name(call.call_id, number))
            return self.apply(call.call_id, TargetInitiated(number, leg.call_control_id))
        self._store.link_leg(leg, call.call_id)
        return self.apply(call.call_id, DialAccepted(leg))

    def _on_refused(
        self, command: CarrierCommand, call: Call, error: TelnyxError | NotConfigured
    ) -> Call:
        if isinstance(error, TelnyxError) and tells_of_end(command, error):
            hangup = Hangup(FOUND_ENDED, "unknown", self._now_ms())
            return self.apply(call.call_id, CallHungUp(call.leg or Leg(""), hangup))
        call = self._on_no_effect(command, call, error)
        if isinstance(command, Dial | HangUp | SendDigits):
            # Without the context of the exception, whose text may quote a key.
            raise error from error.__cause__
        return call

    def _on_no_effect(
        self, command: CarrierCommand, call: Call, error: TelnyxError | NotConfigured
    ) -> Call:
        name = _NAMES[type(command)]
        self._log.error(f"{name} FAILED", reason=str(error))
        if event := self._failure_event(command, call, error):
            call = self.apply(call.call_id, event)
        self._store.add_timeline_entry(call.call_id, self._entry(f"{name} FAILED", str(error)))
        return call

    def _failure_event(
        self, command: CarrierCommand, call: Call, error: TelnyxError | NotConfigured
    ) -> CallEvent | None:
        """Return the event that a failed command causes."""
        match command:
            case Dial() | Answer() | Reject() | StartStreaming():
                fault = Fault(f"{_NAMES[type(command)]}_failed", str(error), self._now_ms())
                return CallFailed(fault)
            case TransferLeg() | DialTarget() | SpeakSummary() | BridgeLegs() if call.transfer:
                reason = error.title if isinstance(error, TelnyxRefused) else str(error)
                return TransferRefused(call.transfer.number, reason)
            case _:
                return None

    def _report(self, command: Report, call: Call) -> Call:
        if call.owner_task and (report := _report_of(command, call)):
            self._mailbox.post(call.owner_task, call.call_id, report)
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
            if after.status is CallStatus.ENDED:
                self._trace(_whole(after))


def _whole(call: Call) -> Span:
    return Span(
        call.call_id,
        "call",
        call.created_at_ms,
        call.changed_at_ms,
        {"call.direction": call.direction, "call.outcome": str(call.outcome)},
        failed=call.fault.reason if call.fault else None,
        is_whole_call=True,
    )


def _entry(webhook: Webhook) -> TimelineEntry:
    return TimelineEntry(
        webhook.occurred_at_ms, webhook.event_id, webhook.event_type, webhook.detail
    )


def _report_of(command: Report, call: Call) -> Steering | None:
    """Return the message for the call's container."""
    match command:
        case ReportAnswer():
            return Answered()
        case ReportMachine():
            return MachineAnswered(call.detection.greeting_over) if call.detection else None
        case ReportTransfer() if call.transfer:
            failed = call.transferred_at_ms is None
            return TransferFinished(call.transfer.end if failed else None)
        case _:
            return None
