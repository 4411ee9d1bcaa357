"""The person on the phone, who recognises the agent and says the scenario's lines. The clock is the
audio: for every 20 ms frame played, the person returns one of 20 ms."""

from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

import numpy as np

from simulators.audio.speech import (
    CLIPS,
    SAMPLE_RATE_HZ,
    Recognition,
    Samples,
    SpeechEnd,
    SpeechOnset,
    VoiceActivityDetector,
    recognise,
)
from simulators.scenario import CallerLine
from simulators.telnyx.behaviour import Person

FRAME_MS = 20
FRAME_SAMPLES = SAMPLE_RATE_HZ * FRAME_MS // 1000
SILENT_FRAME: Samples = np.zeros(FRAME_SAMPLES, np.int16)
SILENT_FRAME.setflags(write=False)

# After this much silence the agent counts as finished. Pauses inside its clips are shorter.
TURN_END_SILENCE_MS = 400
REMEMBERED_SILENCE_FRAMES = 10
KEY_SAMPLES = 12 * FRAME_SAMPLES
"""Samples from one key to the next."""

MAX_LAG_S = 0.1
"""Half of what the agent's side may send ahead of time."""

Goodbye = Literal["finished", "agent_silent"]


class FrameClock:
    """Says when the next frame is due: 20 ms after the previous one.

    If the machine delays it by more than MAX_LAG_S, all later frames are delayed too. To catch up
    in a burst, the person would have to receive audio that does not exist yet.
    """

    def __init__(self, now_s: float) -> None:
        self._due_s = now_s

    def next_due_s(self, now_s: float) -> float:
        self._due_s = max(self._due_s + FRAME_MS / 1000, now_s - MAX_LAG_S)
        return self._due_s


@dataclass(frozen=True, slots=True)
class Interruption:
    clip: str
    agent_spoke_ms: int
    """How long the agent had been speaking when the person interrupted."""
    silenced_after_ms: int
    """How long the agent continued to speak after that."""


class PersonConversation:
    """One person's side of one call."""

    def __init__(self, person: Person, notify: Callable[[str, str], None]) -> None:
        self.recognitions: list[Recognition] = []
        self.said: list[str] = []
        self.first_audio_ms: int | None = None
        self.turn_latencies_ms: list[int] = []
        self.interruptions: list[Interruption] = []
        self.goodbye: Goodbye | None = None
        self._person = person
        self._notify = notify
        self._ear = VoiceActivityDetector(SAMPLE_RATE_HZ, 0.25, 0, TURN_END_SILENCE_MS)
        self._sound: deque[Samples] = deque()
        self._lines = deque(person.scenario.caller)
        self._saying: Samples = SILENT_FRAME[:0]
        self._keys: deque[str] = deque()
        self._line_began_ms = -1
        self._line_ended_ms: int | None = None
        self._agent_began_ms = 0
        self._cut_in_ms: int | None = None
        self._my_turn = False
        self._silent_since_ms = 0

    @property
    def now_ms(self) -> int:
        return self._ear.now_ms

    @property
    def last_recognition(self) -> Recognition:
        """What the agent is saying, or was saying when the call ended."""
        now = recognise(np.concatenate(self._sound)) if self._sound else None
        return now if now and now.clip else self.recognitions[-1]

    def hear(self, frame: Samples) -> Samples:
        self._sound.append(frame)
        for event in self._ear.feed(frame):
            match event:
                case SpeechOnset(at_ms):
                    self._agent_started(at_ms)
                case SpeechEnd(at_ms):
                    self._agent_stopped(at_ms - TURN_END_SILENCE_MS)
        if not self._ear.speaking and len(self._sound) > REMEMBERED_SILENCE_FRAMES:
            self._sound.popleft()
        self._decide()
        return self._speak()

    def change_lines(self, *lines: CallerLine) -> None:
        """Say these from now on, and nothing else of the scenario."""
        self._lines = deque(lines)

    def take_key(self) -> str:
        """Return the key that is pressed in this frame, or an empty string."""
        if self._keys and len(self._saying) < len(self._keys) * KEY_SAMPLES:
            return self._keys.popleft()
        return ""

    def _agent_started(self, at_ms: int) -> None:
        self._agent_began_ms = at_ms
        if self.first_audio_ms is None:
            self.first_audio_ms = at_ms
        elif self._line_ended_ms is not None and at_ms >= self._line_ended_ms:
            self.turn_latencies_ms.append(at_ms - self._line_ended_ms)
            self._line_ended_ms = None

    def _agent_stopped(self, at_ms: int) -> None:
        recognition = recognise(np.concatenate(self._sound))
        self._sound.clear()
        self.recognitions.append(recognition)
        self._notify(
            "heard",
            f"{recognition.text} ({recognition.correlation:.3f}, {recognition.snr_db:.1f} dB)",
        )
        if self._cut_in_ms is not None:
            self._note_interruption(self._cut_in_ms, at_ms)
            self._cut_in_ms = None
        # Audio that began before the person's own line is the old sentence, not the reply.
        self._my_turn = self._agent_began_ms > self._line_began_ms

    def _note_interruption(self, cut_in_ms: int, silent_at_ms: int) -> None:
        spoke_ms, went_on_ms = cut_in_ms - self._agent_began_ms, silent_at_ms - cut_in_ms
        self.interruptions.append(Interruption(self.said[-1], spoke_ms, went_on_ms))
        self._notify("interrupted", f"after {spoke_ms} ms, agent silent {went_on_ms} ms later")

    def _decide(self) -> None:
        if len(self._saying) or self._ear.speaking:
            self._silent_since_ms = self.now_ms
        if len(self._saying):
            return
        if self._lines and self._cuts_in(self._lines[0]):
            self._cut_in_ms = self.now_ms
            self._begin(self._lines.popleft())
        elif self._my_turn and self._lines:
            self._begin(self._lines.popleft())
        elif self._is_finished():
            self.goodbye = "finished"
        elif self._has_waited_too_long():
            self.goodbye = "agent_silent"
        elif self._wants_to_repeat():
            self._begin(CallerLine(self.said[-1]))

    def _cuts_in(self, line: CallerLine) -> bool:
        return (
            line.interrupt_after_ms is not None
            and self._ear.speaking
            and self._agent_began_ms > self._line_began_ms
            and self.now_ms - self._agent_began_ms >= line.interrupt_after_ms
        )

    def _is_finished(self) -> bool:
        has_lingered = self.now_ms - self._silent_since_ms >= self._person.lingers_ms
        return self._my_turn and self._person.hangs_up and has_lingered

    def _has_waited_too_long(self) -> bool:
        waits = bool(self._lines) or self._person.hangs_up
        return waits and self.now_ms - self._silent_since_ms >= self._person.silence_timeout_ms

    def _wants_to_repeat(self) -> bool:
        after_ms = self._person.repeats_after_ms
        is_due = after_ms is not None and self.now_ms - self._silent_since_ms >= after_ms
        return is_due and bool(self.said)

    def _begin(self, line: CallerLine) -> None:
        self._saying = self._press(line.digits) if line.digits else self._say(line.clip)
        self._line_began_ms = self.now_ms
        self._line_ended_ms = self.now_ms + len(self._saying) * 1000 // SAMPLE_RATE_HZ
        self._my_turn = False

    def _say(self, name: str) -> Samples:
        clip = CLIPS[name]
        self.said.append(clip.name)
        self._notify("said", clip.text)
        return clip.samples

    def _press(self, digits: str) -> Samples:
        """Press keys. They make no sound, because the carrier removes them from the audio."""
        self._keys.extend(digits)
        self._notify("pressed", digits)
        return np.zeros(len(digits) * KEY_SAMPLES, np.int16)

    def _speak(self) -> Samples:
        frame, self._saying = self._saying[:FRAME_SAMPLES], self._saying[FRAME_SAMPLES:]
        return np.pad(frame, (0, FRAME_SAMPLES - len(frame))) if len(frame) else SILENT_FRAME
