"""The sans-I/O core of one call: what happened goes in, what to do comes out.

A bridge waits for two things, the phone's `start` and the model's session. As soon as both are
there it asks for the session's settings, and speaks only when the model confirmed them. Then the
caller's frames go to the model as they come, and the model's audio to the caller as the
conversation (`conversation.py`) lets it. Whatever another side owes has a deadline, so no call is
left in silence. The first ending wins: afterwards a bridge asks for nothing more.
"""

from collections.abc import Iterable
from enum import Enum, auto

from media_bridge import events
from media_bridge.audio import Codec, Converter, PassThrough, TelephoneToModel
from media_bridge.commands import (
    AppendAudio,
    BridgeCommand,
    ConfigureModel,
    EndCall,
    FailCall,
    LeaveCall,
    Log,
    Respond,
)
from media_bridge.conversation import FATAL_CODES, MODEL_BYTES_PER_MS, Conversation
from media_bridge.idle import IdleCaller
from media_bridge.order import FrameOrder
from media_bridge.steering import needs_words, steered
from phonebridge.billing import Usage
from phonebridge.call import Activity, Call, EndedBy
from phonebridge.call_config import CallConfig
from phonebridge.settings import ModelAudio

START_PATIENCE = 10.0
READY_PATIENCE = 12.0
MEDIA_PATIENCE = 60.0
"""The carrier sends frames all the time; a line on hold may pause."""
GAP_PATIENCE = 0.75
GAP_FILL_SECONDS = 1
"""Without frames the model cannot see the end of a turn, for its detector runs on the audio's
clock: after `GAP_PATIENCE` it gets this much silence."""
GOODBYE_PATIENCE = 5.0
"""From our hanging up until the carrier closes the stream."""
WARNING_SECONDS = 30
"""Before the longest duration of a call is reached, where it is at least twice as long."""
EARLY_AUDIO_SECONDS = 1
"""How much of the caller is kept while the model is not ready."""


class _Awaited(Enum):
    START = auto()
    READY = auto()
    FRAME = auto()
    MEDIA = auto()
    WARNING = auto()
    MAX_DURATION = auto()


WARNING = Respond(
    guidance="This call must end in half a minute. Tell the caller so, in one short sentence."
)
GOODBYE = Respond(
    guidance="This call has reached its longest duration. Say in one short sentence that it has to "
    "end now, and goodbye."
)


class Bridge:
    """One call's media. `handle` answers every event with commands; call it again no later than
    `next_deadline`. Times are seconds of any clock that does not go back."""

    def __init__(self, call: Call, config: CallConfig, model_audio: ModelAudio, now: float) -> None:
        self._call = call
        self._model_audio = model_audio
        self._max_duration = config.max_duration_seconds
        self._greeting = Respond(saying=config.greeting)
        self._talk = Conversation(config, model_audio)
        self._idle = IdleCaller(config)
        self._deadlines = {_Awaited.START: now + START_PATIENCE}
        self._deadlines[_Awaited.READY] = now + READY_PATIENCE
        self._line: Codec | None = None
        self._order = FrameOrder(b"")
        self._hearing: Converter = PassThrough()
        self._frames_in = 0
        self._early_audio = bytearray()
        self._told_early: list[events.SteeringEvent] = []
        self._model_connected = False
        self._ready = False
        self._leave_at: float | None = None
        self._over = False

    @property
    def activity(self) -> Activity:
        return self._talk.activity(self._frames_in, self._order.lost)

    @property
    def stream_started(self) -> float:
        """Turns count from here."""
        return self._talk.stream_started

    @property
    def usage(self) -> Usage:
        return self._talk.usage

    def next_deadline(self) -> float | None:
        if self._over:
            return None
        if self._leave_at is not None:
            return self._leave_at
        talk = self._talk.next_deadline() if self._ready else None
        others = (talk, self._idle.due_at, self._order.next_deadline())
        known = [*self._deadlines.values(), *(time for time in others if time is not None)]
        return min(known, default=None)

    def handle(self, event: events.BridgeEvent, now: float) -> list[BridgeCommand]:
        if self._over:
            return []
        if self._leave_at is not None:
            return self._until_the_end(self._take_leave(event, now, self._leave_at), now)
        commands = self._until_the_end(self._answer(event, now), now)
        if self._ready and self._leave_at is None and not self._over:
            commands += self._until_the_end(self._talk.due(now), now)
            commands += self._idle.watch(self._talk, now)
        return commands

    def _answer(self, event: events.BridgeEvent, now: float) -> list[BridgeCommand]:
        match event:
            case events.CallerAudio():
                return self._on_caller_audio(event, now)
            case events.DeadlinePassed():
                return self._on_deadline(now)
            case (
                events.InterruptAsked()
                | events.EndAsked()
                | events.TransferFailed()
                | events.DigitsFailed()
            ):
                return self._on_steering(event, now)
            case events.LeaveAsked():
                return [LeaveCall(lost=False)]
            case (
                events.ModelConnected()
                | events.ModelReady()
                | events.ModelRefused()
                | events.ModelComplained()
                | events.ModelClosed()
            ):
                return self._on_session(event, now)
            case (
                events.StreamStarted()
                | events.StreamStopped()
                | events.StreamLost()
                | events.StreamComplained()
                | events.FrameUnreadable()
                | events.DigitPressed()
            ):
                return self._on_stream(event, now)
            case _:
                return self._talk.handle(event, now) if self._ready else []

    def _until_the_end(self, commands: Iterable[BridgeCommand], now: float) -> list[BridgeCommand]:
        """The commands up to the first that ends the bridge's part, the turns recorded before."""
        taken: list[BridgeCommand] = []
        for command in commands:
            if isinstance(command, FailCall | LeaveCall):
                self._over = True
                return [*taken, *self._talk.close(now), command]
            if isinstance(command, EndCall):
                self._leave_at = now + GOODBYE_PATIENCE
                return [*taken, command]
            taken.append(command)
        return taken

    # The phone.

    def _on_stream(self, event: events.StreamEvent, now: float) -> list[BridgeCommand]:
        match event:
            case events.StreamStarted():
                return self._on_stream_started(event, now)
            case events.StreamStopped():
                return [LeaveCall(lost=False)]
            case events.StreamLost():
                return [LeaveCall(lost=True)]
            case events.StreamComplained(detail):
                return [Log("warning", "telnyx stream error", detail)]
            case events.FrameUnreadable(detail):
                return [Log("warning", "unreadable media frame", detail)]
            case events.DigitPressed(digit):
                return [Log("info", "digit pressed"), *self._talk.press(digit, now)]

    def _on_stream_started(self, event: events.StreamStarted, now: float) -> list[BridgeCommand]:
        if self._line is not None:
            return [Log("warning", "second start on one media socket")]
        if not self._is_this_call(event):
            return [FailCall("wrong_call", "the media stream belongs to another call")]
        line = _codec(event)
        if line is None:
            detail = f"{event.encoding} at {event.sample_rate_hz} Hz is not G.711 at 8000 Hz"
            return [FailCall("unsupported_codec", detail)]
        self._line = line
        self._order = FrameOrder(line.silence)
        if self._model_audio is ModelAudio.PCM24K:
            self._hearing = TelephoneToModel(line)
        self._talk.begin(now)
        del self._deadlines[_Awaited.START]
        self._deadlines[_Awaited.MEDIA] = now + MEDIA_PATIENCE
        self._deadlines[_Awaited.MAX_DURATION] = now + self._max_duration
        if self._max_duration >= 2 * WARNING_SECONDS:
            self._deadlines[_Awaited.WARNING] = now + self._max_duration - WARNING_SECONDS
        return [Log("info", "media stream started", line.value), *self._configured()]

    def _is_this_call(self, event: events.StreamStarted) -> bool:
        # The leg's id may differ from the one in the dial's answer; client_state is ours.
        if event.client_state is not None:
            return event.client_state == self._call.call_id
        return self._call.leg is None or event.call_control_id == self._call.leg.call_control_id

    def _on_caller_audio(self, event: events.CallerAudio, now: float) -> list[BridgeCommand]:
        if self._line is None:
            return []
        self._frames_in += 1
        self._deadlines[_Awaited.MEDIA] = now + MEDIA_PATIENCE
        self._deadlines[_Awaited.FRAME] = now + GAP_PATIENCE
        return self._hear(self._order.push(event.chunk, event.payload, now))

    def _hear(self, payload: bytes) -> list[BridgeCommand]:
        audio = self._hearing.feed(payload) if payload else b""
        if not audio:
            return []
        if self._ready:
            return [AppendAudio(audio)]
        self._early_audio += audio
        keep = EARLY_AUDIO_SECONDS * 1000 * MODEL_BYTES_PER_MS[self._model_audio]
        del self._early_audio[:-keep]
        return []

    # The model's session.

    def _on_session(self, event: events.SessionEvent, now: float) -> list[BridgeCommand]:
        match event:
            case events.ModelConnected():
                self._model_connected = True
                return self._configured()
            case events.ModelReady():
                return [] if self._ready else self._on_ready(now)
            case events.ModelRefused(detail):
                return [FailCall("model_refused", detail)]
            case events.ModelComplained(code, message):
                return self._complaint(code, message)
            case events.ModelClosed(code, reason):
                return [self._closed(code, reason)]

    def _configured(self) -> list[BridgeCommand]:
        both = self._line is not None and self._model_connected
        return [ConfigureModel(self._line)] if self._line and both else []

    def _on_ready(self, now: float) -> list[BridgeCommand]:
        self._ready = True
        del self._deadlines[_Awaited.READY]
        self._talk.expect_reply(now)
        early = [AppendAudio(bytes(self._early_audio))] if self._early_audio else []
        self._early_audio.clear()
        commands = [Log("info", "model session ready"), *early, *self._talk.ask(self._greeting)]
        for told in self._told_early:
            commands += steered(told, self._talk, now)
        return commands

    def _complaint(self, code: str, message: str) -> list[BridgeCommand]:
        detail = f"{code}: {message}"
        if not self._ready:
            # It can only be about the connection or our settings; the whole update is lost then,
            # and the model would go on with a default persona.
            return [FailCall("model_refused", detail)]
        if code in FATAL_CODES:
            return [FailCall("model_failed", detail)]
        self._talk.on_complaint(code)
        return [Log("warning", "model error", detail)]

    def _closed(self, code: int, reason: str) -> BridgeCommand:
        fault = "model_lost" if self._ready else "model_unreachable"
        return FailCall(fault, f"the model's server closed with {code} {reason}".strip())

    # What it is told from outside.

    def _on_steering(self, event: events.SteeringEvent, now: float) -> list[BridgeCommand]:
        """Nobody can speak before the model is ready: what needs words waits for that."""
        if self._ready or not needs_words(event):
            return steered(event, self._talk, now)
        self._told_early.append(event)
        return []

    # Time.

    def _on_deadline(self, now: float) -> list[BridgeCommand]:
        commands = self._hear(self._order.due(now))
        for awaited in [who for who, time in self._deadlines.items() if time <= now]:
            del self._deadlines[awaited]
            commands += self._missed(awaited, now)
        return commands

    def _take_leave(
        self, event: events.BridgeEvent, now: float, leave_at: float
    ) -> list[BridgeCommand]:
        """We hung up: the stream has to end, and the caller's last words may still come."""
        match event:
            case events.StreamStopped() | events.StreamLost() | events.LeaveAsked():
                return [LeaveCall(lost=False)]
            case events.DeadlinePassed() if leave_at <= now:
                return [LeaveCall(lost=False)]
            case events.CallerTranscribed():
                return self._talk.handle(event, now)
            case _:
                return []

    def _missed(self, awaited: _Awaited, now: float) -> list[BridgeCommand]:
        match awaited:
            case _Awaited.START:
                return [FailCall("no_media_start", "the media socket sent no start")]
            case _Awaited.READY:
                return [FailCall("model_timeout", "the model session did not become ready")]
            case _Awaited.FRAME:
                return self._bridge_gap()
            case _Awaited.MEDIA:
                return [FailCall("media_silent", "the carrier stopped sending audio")]
            case _Awaited.WARNING:
                return self._talk.ask(WARNING) if self._ready else []
            case _Awaited.MAX_DURATION:
                return self._time_is_up(now)

    def _time_is_up(self, now: float) -> list[BridgeCommand]:
        end = EndCall(EndedBy.MAX_DURATION)
        if not self._ready:
            return [end]
        self._talk.once_quiet(end, now)
        return self._talk.ask(GOODBYE)

    def _bridge_gap(self) -> list[BridgeCommand]:
        if self._line is None or not self._talk.caller_is_speaking:
            return []
        return self._hear(self._line.silence * (GAP_FILL_SECONDS * 8000))


def _codec(event: events.StreamStarted) -> Codec | None:
    known = event.sample_rate_hz == 8000 and event.encoding in Codec.__members__
    return Codec[event.encoding] if known else None
