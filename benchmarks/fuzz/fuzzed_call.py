"""A call in virtual time between a phone, a model and an API that send what they should not.

The bridge and its two translators are the real ones. What the bridge commands is translated too, so
a command that cannot be sent or stored is found as well.
"""

import json
from collections import deque
from dataclasses import dataclass
from random import Random

import msgspec

from benchmarks.fuzz.model_server import CLOSE_CODES, GenuineModel
from benchmarks.fuzz.mutation import Mutator
from benchmarks.fuzz.phone_frames import GenuinePhone
from benchmarks.fuzz.target import Broken, Tally
from media_bridge import browser_frames, commands, events
from media_bridge.audio.codecs import Codec
from media_bridge.bridge import Bridge
from media_bridge.openai.protocol import RealtimeProtocol
from media_bridge.telnyx_stream import TelnyxStream
from media_bridge.tool_events import FunctionReturned
from phonebridge.call.config import CallConfig
from phonebridge.settings import ByteOrder, MediaSettings

END_SECONDS = 200.0
"""Longer than all that a bridge waits for once its stream is over."""
MAX_DEADLINES_AT_ONCE = 1_000
"""A bridge whose deadline does not move keeps its process busy for ever."""
PAUSES_SECONDS = (0.0, 0.02, 0.02, 0.1, 0.6, 2.5, 11.0)


@dataclass(slots=True)
class Mutators:
    phone: Mutator
    model: Mutator


class FuzzedCall:
    def __init__(
        self,
        bridge: Bridge,
        config: CallConfig,
        settings: MediaSettings,
        chance: Random,
        mutators: Mutators,
        tally: Tally,
    ) -> None:
        self.bridge = bridge
        self.now = 0.0
        self.has_left = False
        self._settings = settings
        self._chance = chance
        self._mutators = mutators
        self._tally = tally
        self._stream = TelnyxStream(Codec[config.codec], ByteOrder.BIG)
        self._phone = GenuinePhone(chance)
        self._model = GenuineModel(chance)
        self._protocol = RealtimeProtocol(config, settings, "gpt-realtime")
        self._from_model: deque[bytes] = deque(self._model.greets())
        self._functions: list[commands.RunFunction] = []
        self._waiting: deque[events.BridgeEvent] = deque()
        """What a command causes comes after the commands beside it, as in the real shell."""

    # What happens.

    def frame(self, share: float) -> None:
        """Let the phone send a frame, which is mutated with the probability `share`."""
        frame = self._phone.next_frame()
        if self._chance.random() < share:
            sample = frame if self._chance.random() < 0.5 else self._mutators.phone.sample()
            frame = self._mutators.phone.mutate(sample)
        self.receive_frame(frame)

    def receive_frame(self, frame: bytes) -> None:
        self._tally.count(frame)
        event = self._stream.decode(frame)
        self._tally.refused += isinstance(event, events.MalformedFrameReceived)
        if event:
            self.handle(event)

    def model_event(self, share: float) -> None:
        """Let the model send its next event: out of order, twice, or mutated."""
        luck = self._chance.random()
        if not self._from_model:
            self._from_model.extend(self._model.hears_caller())
        if luck < share / 4:
            self._from_model.rotate(self._chance.choice((-3, -1, 1)))
        if luck < share / 8:
            self._from_model.append(self._from_model[0])
        if luck > 0.97:
            self._from_model.appendleft(self._model.unexpected())
        text = self._from_model.popleft()
        if self._chance.random() < share:
            text = self._mutators.model.mutate(text)
        self.receive_event(text)

    def receive_event(self, text: bytes) -> None:
        self._tally.count(text)
        event = self._protocol.decode(memoryview(text))
        self._tally.refused += isinstance(event, events.MalformedEventReceived)
        if event:
            self.handle(event)

    def lose_model(self) -> None:
        self._tally.count(b"close")
        self._from_model.clear()
        self.handle(events.ModelClosed(self._chance.choice(CLOSE_CODES), "bye"))

    def return_tool(self) -> None:
        """Let a function of the user's return, with any text, and perhaps twice. Without one, the
        phone sends a frame."""
        if not self._functions:
            self.frame(0.0)
        else:
            command = self._chance.choice(self._functions)
            output = str(self._mutators.model.value())[:70_000].encode(errors="replace").decode()
            self._tally.count(output.encode())
            ok = self._chance.random() < 0.7
            self.handle(FunctionReturned(command.call_id, output, ok))

    def wait(self, seconds: float) -> None:
        until, at_once = self.now + seconds, 0
        while (deadline := self.bridge.next_deadline()) is not None and deadline <= until:
            at_once = at_once + 1 if deadline <= self.now else 0
            if at_once > MAX_DEADLINES_AT_ONCE:
                raise Broken(f"the deadline stays at {deadline:.3f}")
            self.now = max(self.now, deadline)
            self.handle(events.DeadlinePassed())
        self.now = until

    def end(self) -> None:
        """The stream breaks. The bridge has to finish, with one last command."""
        self.handle(events.StreamLost())
        self.wait(END_SECONDS)
        if not self.bridge.is_over:
            raise Broken("the bridge is not over although its stream is")
        if not self.has_left:
            raise Broken("the bridge has ended without leaving its stream")

    # What is done.

    def handle(self, event: events.BridgeEvent) -> None:
        self._waiting.append(event)
        while self._waiting:
            for command in self.bridge.handle(self._waiting.popleft(), self.now):
                self._execute(command)

    def _execute(self, command: commands.BridgeCommand) -> None:
        match command:
            case commands.PlayAudio() | commands.MarkPlayback() | commands.ClearPlayback():
                self._to_phone(command)
            case commands.ConnectModel(config):
                self._protocol = RealtimeProtocol(config, self._settings, "gpt-realtime")
                self._from_model = deque(self._model.greets())
            case commands.RestoreHistory(items):
                for item in items:
                    self._to_model(item)
            case commands.RunFunction():
                json.loads(command.arguments)
                self._functions.append(command)
            case commands.SpeakByCarrier(words):
                words.encode()
                self._waiting.append(events.CarrierSpoke())
            case commands.FailCall() | commands.LeaveStream():
                self._leave(command)
            case _ if isinstance(command, commands.BrowserCommand):
                json.loads(browser_frames.encode(command))
            case _ if isinstance(command, commands.ModelCommand):
                self._to_model(command)
            case _:
                msgspec.json.encode(command)  # it becomes an item of the table, or a log line

    def _to_phone(
        self, command: commands.PlayAudio | commands.MarkPlayback | commands.ClearPlayback
    ) -> None:
        if self.has_left:
            raise Broken("the bridge speaks to a stream that it has left")
        json.loads(self._stream.encode(command))
        if isinstance(command, commands.MarkPlayback):
            self._phone.marks.append(command.name)

    def _to_model(self, command: commands.ModelCommand) -> None:
        request = self._protocol.encode(command)
        if not isinstance(command, commands.AppendAudio):
            self._from_model.extend(self._model.answers(request))
        if event := self._protocol.implied_event(command):
            self._waiting.append(event)

    def _leave(self, command: commands.FailCall | commands.LeaveStream) -> None:
        if self.has_left:
            raise Broken(f"{command} comes after the stream was left")
        msgspec.json.encode(command)
        self.has_left = True
