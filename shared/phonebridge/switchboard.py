"""Where lifecycle, store and carrier meet: load, advance, save, carry out."""

import uuid
from collections.abc import Callable, Iterable
from dataclasses import replace

from aws_lambda_powertools import Logger

from phonebridge import lifecycle
from phonebridge.call import LONGEST_CALL_ID, Call, CallStatus, Fault, Hangup, Leg
from phonebridge.call_commands import (
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
from phonebridge.call_config import CallConfig
from phonebridge.call_events import (
    CallArrived,
    CallEvent,
    CallFailed,
    CallHungUp,
    CallRequested,
    CallTurnedAway,
    DialAccepted,
)
from phonebridge.errors import Conflict, NotConfigured, TelnyxError, TelnyxRefused, UnknownCall
from phonebridge.facts import FOUND_ENDED
from phonebridge.ports import CallStore, Carrier, Directory, Mailbox, TimelineEntry
from phonebridge.steering import Answered, MachineAnswered, Steering, TransferSettled
from phonebridge.telnyx.leg_name import call_and_transfer, leg_name
from phonebridge.telnyx.webhook import Webhook, about_target
from phonebridge.telnyx.webhook_payloads import inbound_call_id
from phonebridge.tracing import Span
from phonebridge.transfer import (
    BridgeLegs,
    DialTarget,
    HangUpTarget,
    ReportTransfer,
    SpeakSummary,
    TargetInitiated,
    TransferCommand,
    TransferLeg,
    TransferRefused,
)

CALL_ALREADY_ENDED = "90018"
LEG_UNKNOWN = ("10005", "90015")
"""Also what is said of a leg that ended long ago and was forgotten (Telnyx, "API errors")."""
ATTEMPTS = 10
"""Writers of one call: a few webhooks at a time, the API, its container and the sweeper."""

# Telnyx's own names of what a call may ask for (Call Control, "Call commands").
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
    """Every change of a call goes through here. Raises `UnknownCall` and `InvalidTransition`."""

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
        """`ended` hears of every ended call, each time that something happens to it."""
        self._store = store
        self._trace = trace
        self._ended = ended
        self._carrier = carrier
        self._mailbox = mailbox
        self._now_ms = now_ms
        self._log = log

    def place(self, call: Call, config: CallConfig) -> Call:
        """Store and dial a new outbound call; one that is there already is left as it is. Raises
        `TelnyxError` if the carrier refuses; the record then says why."""
        with_stream = config.stream_setup.begins_with_dial
        on_machine = config.machine_detection.mode if config.machine_detection else None
        return self._begin(call, config, CallRequested(with_stream, on_machine))

    def deliver(self, webhook: Webhook, directory: Directory) -> Call | None:
        """Apply a verified webhook; None when it is about no call of ours."""
        if webhook.arrival:
            return self._receive(webhook, webhook.arrival, directory)
        found = self._found(webhook)
        if found is None:
            self._log.warning("webhook for an unknown call", event_type=webhook.event_type)
            return None
        call, transfer = found
        if transfer is not None:
            is_warm = call.transfer is not None and call.transfer.is_warm
            webhook = about_target(webhook, transfer, is_warm)
            self._store.link(webhook.leg, leg_name(call.call_id, transfer))
        return self._deliver_to(call.call_id, webhook)

    def apply(self, call_id: str, event: CallEvent) -> Call:
        """Advance, save, then carry out what the call asks for. The loser of a race starts over
        with what the winner left."""
        for _ in range(ATTEMPTS):
            before = self._store.load(call_id)
            if before is None:
                raise UnknownCall(call_id)
            after, commands = lifecycle.advance(before, event)
            # Read before anything is saved: once it is, nobody asks for these commands again.
            config = (self._store.config(call_id) if commands else None) or CallConfig()
            if after != before:
                after = self._dated(after)
                try:
                    self._store.save(after)
                except Conflict:
                    continue
                self._log_move(before, after, event)
            after = self._carry_out(commands, after, config)
            if after.status is CallStatus.ENDED:
                self._ended(after)
            return after
        raise Conflict(f"Call {call_id} changed {ATTEMPTS} times while one event was applied.")

    def _begin(
        self, call: Call, config: CallConfig, event: CallRequested | CallArrived | CallTurnedAway
    ) -> Call:
        begun, commands = lifecycle.advance(call, event)
        begun = self._dated(begun)
        if not self._store.create(begun, config):
            is_placed = isinstance(event, CallRequested)
            return self._load(call.call_id) if is_placed else self.apply(call.call_id, event)
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

    def _found(self, webhook: Webhook) -> tuple[Call, int | None] | None:
        """The call, and the number of the transfer whose target the webhook is about.
        `client_state` names both, but may be missing or another application's, and the leg may
        bear another id than the dial's answer gave it."""
        named = webhook.client_state
        if named and len(call_and_transfer(named)[0]) > LONGEST_CALL_ID:
            named = None
        candidates = (named or self._store.linked(webhook.leg), inbound_call_id(webhook.leg))
        for name in filter(None, candidates):
            call_id, transfer = call_and_transfer(name)
            if call := self._store.load(call_id):
                return call, transfer or _transfer_of_stranger(call, webhook.leg)
        return None

    def _carry_out(self, commands: Iterable[CallCommand], call: Call, config: CallConfig) -> Call:
        for command in commands:
            call = self._execute(command, call, config)
        return call

    def _execute(self, command: CallCommand, call: Call, config: CallConfig) -> Call:
        if isinstance(command, Report):
            return self._report(command, call)
        try:
            leg = self._carrier.execute(command, call, config)
        except TelnyxError as error:
            return self._refused(command, call, error)
        except NotConfigured as error:
            if not isinstance(command, TransferCommand):
                raise
            return self._without_effect(command, call, error)
        return self._done(command, call, leg)

    def _done(self, command: CarrierCommand, call: Call, leg: Leg | None) -> Call:
        """What fails here undoes nothing, and webhooks tell the rest: it may neither look as if
        the carrier had refused, nor hold up what else the call asks for."""
        name = _NAMES[type(command)]
        done = self._entry(name, "")
        try:
            if leg:
                call = self._dialled(leg, call, command)
            self._store.note(call.call_id, done)
        except Exception:  # noqa: BLE001 - the border of a command: the carrier has carried it out
            self._log.exception(f"record of {name} FAILED")
        return call

    def _dialled(self, leg: Leg, call: Call, command: CarrierCommand) -> Call:
        # Linked first of all: whatever fails below, webhooks must find the call that now rings.
        if isinstance(command, DialTarget) and call.transfer:
            number = call.transfer.number
            self._store.link(leg, leg_name(call.call_id, number))
            return self.apply(call.call_id, TargetInitiated(number, leg.call_control_id))
        self._store.link(leg, call.call_id)
        return self.apply(call.call_id, DialAccepted(leg))

    def _refused(self, command: CarrierCommand, call: Call, error: TelnyxError) -> Call:
        if _tells_of_end(command, call, error):
            hangup = Hangup(FOUND_ENDED, "unknown", self._now_ms())
            return self.apply(call.call_id, CallHungUp(call.leg or Leg(""), hangup))
        call = self._without_effect(command, call, error)
        if isinstance(command, Dial | HangUp | SendDigits):
            raise error
        return call

    def _without_effect(
        self, command: CarrierCommand, call: Call, error: TelnyxError | NotConfigured
    ) -> Call:
        name = _NAMES[type(command)]
        self._log.error(f"{name} FAILED", reason=str(error))
        if event := self._setback(command, call, error):
            call = self.apply(call.call_id, event)
        self._store.note(call.call_id, self._entry(f"{name} FAILED", str(error)))
        return call

    def _setback(
        self, command: CarrierCommand, call: Call, error: TelnyxError | NotConfigured
    ) -> CallEvent | None:
        """What it means to the call that a command had no effect."""
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
        if call.owner_task and (told := _told(command, call)):
            self._mailbox.post(call.owner_task, call.call_id, told)
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


def _tells_of_end(command: CarrierCommand, call: Call, error: TelnyxError) -> bool:
    # A target that has ended says nothing of the call.
    if not isinstance(error, TelnyxRefused) or isinstance(
        command, SpeakSummary | BridgeLegs | HangUpTarget
    ):
        return False
    is_over = isinstance(command, HangUp) and call.is_over_for_us
    return error.code == CALL_ALREADY_ENDED or (is_over and error.code in LEG_UNKNOWN)


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


def _transfer_of_stranger(call: Call, leg: Leg) -> int | None:
    """Of a leg that bears the call's name but none of its ids: the target's, if it is not told
    apart by a name of its own."""
    if call.transfer is None or call.leg is None:
        return None
    ours = {call.leg.call_control_id, call.leg.call_leg_id} - {""}
    theirs = {leg.call_control_id, leg.call_leg_id} - {""}
    return call.transfer.number if theirs and not ours & theirs else None


def _told(command: Report, call: Call) -> Steering | None:
    """What the container learns."""
    match command:
        case ReportAnswer():
            return Answered()
        case ReportMachine():
            return MachineAnswered(call.detection.greeting_over) if call.detection else None
        case ReportTransfer() if call.transfer:
            failed = call.transferred_at_ms is None
            return TransferSettled(call.transfer.end if failed else None)
        case _:
            return None
