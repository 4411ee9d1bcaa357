"""Connects lifecycle, store and carrier: it loads a call, advances it, saves it, and carries out
the commands."""

import traceback
import uuid
from collections.abc import Callable
from dataclasses import replace
from typing import TypeVar

from aws_lambda_powertools import Logger

from phonebridge.call import lifecycle
from phonebridge.call.call import Call, CallStatus, Leg
from phonebridge.call.commands import (
    Answer,
    CallCommand,
    CarrierCommand,
    Dial,
    HangUp,
    InformCaller,
    Report,
    SendDigits,
    StartStreaming,
)
from phonebridge.call.config import CallConfig
from phonebridge.call.events import (
    BrowserCallRequested,
    CallArrived,
    CallEvent,
    CallHungUp,
    CallRequested,
    CallTurnedAway,
    DigitsSettled,
)
from phonebridge.call.overdue import event_of_leg_state, event_of_live_leg
from phonebridge.call.owed import is_repetition, new_commands, owed_commands, wanted_commands
from phonebridge.call.reports import report_of
from phonebridge.call.streams import is_stale
from phonebridge.call.transfer import DialTarget, TransferLeg
from phonebridge.errors import (
    CommandFailed,
    Conflict,
    NotConfigured,
    TelnyxError,
    UnknownCall,
)
from phonebridge.observability.tracing import Span, whole_call
from phonebridge.ports import CallChanged, CallStore, Carrier, Directory, Mailbox, TimelineEntry
from phonebridge.telnyx.command_results import (
    NAMES,
    event_of_end,
    event_of_failure,
    event_of_refused_repetition,
    event_of_success,
)
from phonebridge.telnyx.correlation import MatchedLeg
from phonebridge.telnyx.leg_name import leg_name
from phonebridge.telnyx.webhook import Webhook, entry_of
from phonebridge.timeline import needs_entry

T = TypeVar("T")

ATTEMPTS = 10
"""A call has few concurrent writers: some webhooks, the API, its container and the sweep."""
NEED_CONFIG = (Dial, Answer, StartStreaming, InformCaller)


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
        """Store and dial a new outbound call. Of one that is there already, a repetition of the
        request sends what is still owed. Raises `TelnyxError` if the carrier refuses the dial."""
        with_stream = config.stream_setup.begins_with_dial
        on_machine = config.machine_detection.mode if config.machine_detection else None
        return self._begin(call, config, CallRequested(with_stream, on_machine))

    def open(self, call: Call, config: CallConfig) -> Call:
        """Store a new browser call. One that is there already stays as it is."""
        return self._begin(call, config, BrowserCallRequested())

    def repeat(self, call: Call) -> Call:
        """Send again what is owed to a call, because its client repeats the request for it."""
        return self._send_owed(call, call, self._now_ms(), repeats=True)

    def pursue(self, call_id: str) -> Call:
        """Send what is owed to a call, unless somebody else may just be doing so."""
        call = self._load(call_id)
        return self._send_owed(call, call, self._now_ms(), repeats=False)

    def settle(self, call: Call, event: CallEvent) -> Call:
        """Ask the carrier about a silent call. If the leg is over the call has ended, else `event`
        is applied. Raises `TelnyxError` where the carrier says nothing: then nothing is final."""
        if call.leg is not None:
            state = self._carrier.look_up(call.leg)
            ended = event_of_leg_state(call, state, self._now_ms())
            event = ended or event_of_live_leg(state, event)
        return self._apply(call.call_id, event, call)

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
        self._store.add_timeline_entry(call.call_id, entry_of(webhook))
        return call

    def apply(self, call_id: str, event: CallEvent, stream_number: int | None = None) -> Call:
        """Advance, save, then send what the call needs. The loser of a race starts over with what
        the winner left. A container names its stream: once another one has a later stream of the
        call, the event changes nothing."""
        return self._apply(call_id, event, None, stream_number)

    def _apply(
        self,
        call_id: str,
        event: CallEvent,
        loaded: Call | None,
        stream_number: int | None = None,
    ) -> Call:
        """`loaded` saves the first attempt a read. A refused write saves the next one a read."""
        for _ in range(ATTEMPTS):
            before = loaded or self._load(call_id)
            loaded = None
            if is_stale(before, stream_number, event):
                return before
            now_ms = self._now_ms()
            after = lifecycle.advance(before, event, now_ms)
            if after != before:
                after = replace(after, changed_at_ms=now_ms)
                try:
                    self._store.save(after)
                except CallChanged as refused:
                    loaded = refused.current
                    continue
                self._log_move(before, after, event)
            repeats = after == before and is_repetition(event, before)
            after = self._send_owed(before, after, now_ms, repeats=repeats)
            if after.status is CallStatus.ENDED:
                self._ended(after)
            return after
        raise Conflict(f"Call {call_id} changed {ATTEMPTS} times while one event was applied.")

    def _begin(
        self,
        call: Call,
        config: CallConfig,
        event: CallRequested | BrowserCallRequested | CallArrived | CallTurnedAway,
    ) -> Call:
        now_ms = self._now_ms()
        call = replace(call, has_own_webhook=config.webhook_url is not None)
        begun = replace(lifecycle.advance(call, event, now_ms), changed_at_ms=now_ms)
        if not self._store.create(begun, config):
            is_placed = isinstance(event, CallRequested | BrowserCallRequested)
            known = self._load(call.call_id)
            return self.repeat(known) if is_placed else self._apply(call.call_id, event, known)
        self._log_move(call, begun, event)
        return self._send_owed(call, begun, now_ms, repeats=False, config=config)

    def _deliver_to(self, call: Call, webhook: Webhook) -> Call:
        # Applied first and noted afterwards. In the opposite order, a crash in between would make
        # the redelivered webhook look like a repetition, and the event would be lost.
        if webhook.event is not None:
            call = self._apply(call.call_id, webhook.event, call)
        if needs_entry(webhook.event_type, webhook.event, call):
            self._store.add_timeline_entry(call.call_id, entry_of(webhook))
        return call

    def _load(self, call_id: str) -> Call:
        call = self._store.load(call_id)
        if call is None:
            raise UnknownCall(call_id)
        return call

    def _send_owed(
        self,
        before: Call,
        call: Call,
        now_ms: int,
        *,
        repeats: bool,
        config: CallConfig | None = None,
    ) -> Call:
        first = new_commands(before, call)
        again = [each for each in owed_commands(call, now_ms, repeats=repeats) if each not in first]
        for command in (*first, *again):
            if command in wanted_commands(call):  # still, after what came of the commands before it
                call = self._send(command, call, config, is_first=command in first)
        return call

    def _send(
        self, command: CallCommand, call: Call, config: CallConfig | None, *, is_first: bool
    ) -> Call:
        if isinstance(command, Report):
            return self._report(command, call)
        if config is None and isinstance(command, NEED_CONFIG):
            config = self._store.config(call.call_id)  # up to 64 KB, read where it is needed
        try:
            if isinstance(command, TransferLeg | DialTarget) and call.leg and call.transfer:
                # Linked before the target's first webhook, whose `client_state` another program may
                # have replaced.
                self._store.link_session(call.leg, leg_name(call.call_id, call.transfer.number))
            leg = self._carrier.execute(command, call, config or CallConfig())
        except (TelnyxError, NotConfigured) as error:
            return self._on_refused(command, call, error, is_first=is_first)
        except Exception as error:  # noqa: BLE001 - the border of a command: the record must say so
            failure = self._on_failed(command, call, error)
            return self._on_refused(command, call, failure, is_first=is_first)
        return self._on_done(command, call, leg)

    def _on_failed(self, command: CarrierCommand, call: Call, error: Exception) -> CommandFailed:
        """Log only the type of the error and its place. Its text may quote a header, and so a
        key."""
        kind, place = type(error).__name__, traceback.extract_tb(error.__traceback__)[-1]
        name = NAMES[type(command)]
        self._log.error(f"{name} broke off", error=kind, place=f"{place.filename}:{place.lineno}")
        return CommandFailed(name, call.call_id, kind)

    def _on_done(self, command: CarrierCommand, call: Call, leg: Leg | None) -> Call:
        """Note the success of a command. An error here must not look like a refusal of the carrier,
        and must not hold up the call's other commands. Webhooks report the rest."""
        if leg:
            transfer = call.transfer if isinstance(command, DialTarget) else None
            name = leg_name(call.call_id, transfer.number if transfer else None)
            self._try(command, lambda: self._store.link_leg(leg, name))
        if isinstance(
            command, SendDigits
        ):  # nothing else in the record shows that keys were pressed
            pressed = self._entry(NAMES[SendDigits], "")
            self._try(command, lambda: self._store.add_timeline_entry(call.call_id, pressed))
        if event := event_of_success(command, call, leg):
            return self._try(command, lambda: self._apply(call.call_id, event, call)) or call
        return call

    def _try(self, command: CarrierCommand, write: Callable[[], T]) -> T | None:
        try:
            return write()
        except Exception:  # noqa: BLE001 - the border of a command: the carrier has carried it out
            self._log.exception(f"record of {NAMES[type(command)]} FAILED")
            return None

    def _on_refused(
        self,
        command: CarrierCommand,
        call: Call,
        error: TelnyxError | NotConfigured,
        *,
        is_first: bool,
    ) -> Call:
        if event := event_of_end(command, call, error, self._now_ms()):
            return self._apply(call.call_id, self._with_time_of_end(event, call), call)
        name = NAMES[type(command)]
        self._log.error(f"{name} FAILED", reason=str(error), repeated=not is_first)
        call = (self._on_no_effect if is_first else self._ask_carrier)(command, call, error)
        if isinstance(command, SendDigits):
            call = self._apply(call.call_id, DigitsSettled(command.number), call)
        self._store.add_timeline_entry(call.call_id, self._entry(f"{name} FAILED", str(error)))
        if isinstance(command, Dial | HangUp | SendDigits):
            # Without the context of the exception, whose text may quote a key.
            raise error from error.__cause__
        return call

    def _with_time_of_end(self, event: CallEvent, call: Call) -> CallEvent:
        """A refusal shows that the leg is over, and the carrier's `GET` since when."""
        if not isinstance(event, CallHungUp) or call.leg is None:
            return event
        try:
            state = self._carrier.look_up(call.leg)
        except TelnyxError as unknown:
            self._log.error("the carrier did not say when the leg ended", reason=str(unknown))
            return event
        return event_of_leg_state(call, state, event.hangup.at_ms) or event

    def _on_no_effect(
        self, command: CarrierCommand, call: Call, error: TelnyxError | NotConfigured
    ) -> Call:
        event = event_of_failure(command, call, error, self._now_ms())
        return self._apply(call.call_id, event, call) if event else call

    def _ask_carrier(
        self, command: CarrierCommand, call: Call, error: TelnyxError | NotConfigured
    ) -> Call:
        """Ask the carrier about the leg, because the refusal of a repeated command says nothing
        about the first attempt."""
        if call.leg is None:
            return call
        try:
            state = self._carrier.look_up(call.leg)
        except TelnyxError as unknown:
            self._log.error("the carrier did not say whether the leg is up", reason=str(unknown))
            return call
        event = event_of_refused_repetition(command, call, state, self._now_ms())
        return self._apply(call.call_id, event, call) if event else call

    def _report(self, command: Report, call: Call) -> Call:
        if call.owner_task and (found := report_of(command, call)):
            self._mailbox.post(call.owner_task, call.call_id, found.message, found.key)
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
                self._trace(whole_call(after))
