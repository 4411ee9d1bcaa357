"""The two far ends of one call: a caller at Telnyx, and a session of the model."""

import base64
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import cache

import msgspec
from msgspec import structs

from benchmarks.media.figures import Ticket
from benchmarks.media.model_script import SPEECH_MS, Kind, Scripted, is_interrupted, lasts_ms
from benchmarks.media.rfc6455 import WebSocket, frame
from benchmarks.media.sound import FORMATS, Onsets, caller_frame, decoded_size
from phonebridge.settings import ModelAudio
from simulators.openai import wire
from simulators.openai.settings import DEFAULTS, SessionSettings, merge

FRAME_MS = 20
PROBE_FRAMES = 23
"""The caller sends a probe every 460 ms, which is longer than any peer buffers."""
PROBE_STEP_SAMPLES, PROBE_LAST_SAMPLE = 37, 160
GOLDEN = 0.618_034
"""Multiples of the golden ratio, modulo 1, are evenly spread for any number of calls."""

After = Callable[[float, Callable[[], None]], None]
"""Schedules a callback at a time of `time.perf_counter`."""


@dataclass(slots=True)
class Measured:
    """Measurements of all calls. `recording` is True in the steady window."""

    recording: bool = False
    to_model_ms: list[float] = field(default_factory=list)
    shift_ms: list[float] = field(default_factory=list)
    to_phone_ms: list[float] = field(default_factory=list)
    barge_in_ms: list[float] = field(default_factory=list)
    late_send_ms: list[float] = field(default_factory=list)
    unheard_probes: int = 0
    missing_ms: float = 0.0
    late_chunks: int = 0

    def on_probe(self, last_was_heard: bool) -> None:
        if self.recording and not last_was_heard:
            self.unheard_probes += 1


class Caller:
    """Sends a frame every 20 ms and receives the agent's audio."""

    def __init__(
        self, number: int, ticket: Ticket, socket: WebSocket, measured: Measured, at: After
    ) -> None:
        self._number = number
        self._ticket = ticket
        self._at = at
        self.socket = socket
        self._measured = measured
        self.model: ModelSession | None = None
        self.hears = Onsets(FORMATS[ModelAudio.G711])
        self._frames = 0
        self._due = 0.0
        self._plays_until = 0.0
        self._answer_ms = 0.0
        self._interrupted_at: float | None = None
        self._hung_up = False

    def on_open(self) -> None:
        headers = {"x-telnyx-streaming-auth-token": self._ticket.token}
        self._tell({"event": "connected", "version": "1.0.0", "connected": headers})
        leg = {
            "call_control_id": f"v3:{self._ticket.call_id}",
            "call_session_id": "session",
            "from": "+15550100",
            "to": "+15550123",
            "client_state": base64.b64encode(self._ticket.call_id.encode()).decode(),
            "media_format": {"encoding": "PCMU", "sample_rate": 8000, "channels": 1},
        }
        self._tell({"event": "start", "sequence_number": "1", "start": leg, "stream_id": "stream"})
        period = FRAME_MS / 1000
        grid = time.perf_counter() // period * period
        self._due = grid + period * (1 + self._number * GOLDEN % 1)
        self._at(self._due, self._speak)

    def answer_begins(self, now: float) -> None:
        self._interrupted_at = None
        self._answer_ms = 0.0
        self._measured.on_probe(self.hears.sent(now, 0.0, 0.0))

    def answer_ends(self, now: float, interrupted: bool) -> None:
        """Let the caller speak again, before or after the answer has played out."""
        if interrupted:
            self._interrupted_at = now
        elif self._measured.recording and self._answer_ms:
            self._measured.missing_ms += max(0.0, SPEECH_MS - self._answer_ms)
        self._answer_ms = 0.0

    def hang_up(self) -> None:
        self._hung_up = True
        self._tell({"event": "stop", "sequence_number": "0", "stream_id": "stream"})
        self.socket.close()

    def on_text(self, text: bytes, now: float) -> None:
        if (key := text.find(b'"payload"')) >= 0:
            self._on_audio(_string_after(text, key + 9), now)
        elif b'"clear"' in text:
            self._plays_until = now
            if self._interrupted_at is not None and self._measured.recording:
                self._measured.barge_in_ms.append((now - self._interrupted_at) * 1000)
            self._interrupted_at = None
        elif b'"mark"' in text:
            # Telnyx returns a mark when the audio before it has played or was cleared.
            self._at(self._plays_until, lambda: self.socket.send(frame(text, True)))

    def _on_audio(self, encoded: bytes, now: float) -> None:
        found = self.hears.received(encoded, now)
        if self._interrupted_at is not None:
            return
        measured = self._measured
        if found and measured.recording:
            measured.to_phone_ms.append(found.delay_ms)
        if self._answer_ms and now > self._plays_until and measured.recording:
            measured.late_chunks += 1
        size_ms = decoded_size(encoded) / 8
        self._answer_ms += size_ms
        self._plays_until = max(self._plays_until, now) + size_ms / 1000

    def _speak(self) -> None:
        if self._hung_up or self.socket.is_over:
            return
        number = self._frames
        probe, place = divmod(number, PROBE_FRAMES)
        onset = probe * PROBE_STEP_SAMPLES % PROBE_LAST_SAMPLE if place == 0 else None
        loud_throughout = probe > 0 and place == 1
        payload = _encoded_frame(0 if loud_throughout else onset)
        now = time.perf_counter()
        if onset is not None and self.model:
            self._measured.on_probe(self.model.hears.sent(now, onset / 8, number * FRAME_MS))
        if self._measured.recording:
            self._measured.late_send_ms.append((now - self._due) * 1000)
        count = number + 1
        head = _MEDIA % (count + 1, count, number * FRAME_MS)
        self.socket.send(frame(head + payload + _MEDIA_END, True))
        self._frames = count
        self._due += FRAME_MS / 1000
        self._at(self._due, self._speak)

    def _tell(self, message: dict[str, object]) -> None:
        self.socket.send(frame(msgspec.json.encode(message), True))


_MEDIA = (
    b'{"event":"media","sequence_number":"%d",'
    b'"media":{"track":"inbound","chunk":"%d","timestamp":"%d","payload":"'
)
_MEDIA_END = b'"},"stream_id":"stream"}'


@cache
def _encoded_frame(onset_sample: int | None) -> bytes:
    onset_ms = None if onset_sample is None else onset_sample / 8
    return base64.b64encode(caller_frame(onset_ms))


class _Request(msgspec.Struct):
    type: str
    session: msgspec.Raw = msgspec.Raw(b"{}")
    item_id: str = ""
    content_index: int = 0
    audio_end_ms: int = 0
    item: msgspec.Raw = msgspec.Raw(b"{}")


class ModelSession:
    """Follows the script, whatever it receives."""

    def __init__(
        self,
        number: int,
        caller: Caller,
        socket: WebSocket,
        script: tuple[Scripted, ...],
        audio: ModelAudio,
        measured: Measured,
        at: After,
        on_ready: Callable[[], None],
    ) -> None:
        self._number = number
        self._caller = caller
        self.socket = socket
        self._script = script
        self._at = at
        self._on_ready = on_ready
        self._measured = measured
        self._settings = structs.replace(DEFAULTS, model="gpt-realtime-2.1-mini")
        self.hears = Onsets(FORMATS[audio])
        self.first_slip_ms: float | None = None
        self.last_slip_ms = 0.0
        self._ready = False
        self._turn, self._next, self._turn_began = number, 0, 0.0

    @property
    def lost_ms(self) -> float:
        """Sound that did not arrive between the first onset and the last."""
        return 0.0 if self.first_slip_ms is None else self.first_slip_ms - self.last_slip_ms

    def on_open(self) -> None:
        self._tell(wire.SessionCreatedEvent(session=self._state()))

    def on_text(self, text: bytes, now: float) -> None:
        if b"input_audio_buffer.append" in text:
            self._on_append(_string_after(text, text.find(b'"audio":') + 8), now)
        else:
            self._on_request(msgspec.json.decode(text, type=_Request))

    def _on_append(self, encoded: bytes, now: float) -> None:
        found = self.hears.received(encoded, now)
        if found and self._measured.recording:
            self._measured.to_model_ms.append(found.delay_ms)
            self._measured.shift_ms.append(found.shift_ms)
            self.last_slip_ms = found.slip_ms
            if self.first_slip_ms is None:
                self.first_slip_ms = found.slip_ms

    def _on_request(self, request: _Request) -> None:
        match request.type:
            case "session.update":
                update = msgspec.json.decode(request.session, type=SessionSettings)
                self._settings = merge(self._settings, update, DEFAULTS)
                self._tell(wire.SessionUpdatedEvent(session=self._state()))
                self._become_ready()
            case "conversation.item.truncate":
                self._tell(
                    wire.ItemTruncatedEvent(
                        item_id=request.item_id,
                        content_index=request.content_index,
                        audio_end_ms=request.audio_end_ms,
                    )
                )

    def _become_ready(self) -> None:
        if self._ready:
            return
        self._ready = True
        self._turn_began = time.perf_counter() + self._number * GOLDEN % 1 * lasts_ms(0) / 1000
        self._at(self._turn_began, self._go_on)
        self._on_ready()

    def _go_on(self) -> None:
        """Send one event at a time, so that frames of other calls leave in time between them."""
        if self.socket.is_over:
            return
        event = self._script[self._next]
        self._say(event)
        self._next += 1
        if self._next == len(self._script):
            self._turn_began += lasts_ms(self._turn) / 1000
            self._turn += 1
            self._next = 0
        self._at(self._turn_began + self._script[self._next].at_ms / 1000, self._go_on)

    def _say(self, event: Scripted) -> None:
        message = frame(event.named_payload(b"%d_%d" % (self._number, self._turn)), False)
        now = time.perf_counter()
        if event.kind is Kind.SPEECH_STARTED:
            self._caller.answer_ends(now, is_interrupted(self._turn - 1))
        elif event.kind is Kind.FIRST_AUDIO:
            self._caller.answer_begins(now)
        self.socket.send(message)

    def _state(self) -> msgspec.Raw:
        expires_at = int(time.time()) + 3600
        return wire.session_state(f"sess_{self._number}", expires_at, self._settings)

    def _tell(self, event: wire.ServerEvent) -> None:
        self.socket.send(frame(msgspec.json.encode(event), False))


def _string_after(text: bytes, place: int) -> bytes:
    """Return the JSON string that follows. It is base64, so nothing in it is escaped."""
    begin = text.index(b'"', place) + 1
    return text[begin : text.index(b'"', begin)]
