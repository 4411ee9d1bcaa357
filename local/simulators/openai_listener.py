"""How the simulated model listens: turns found in the sound, put into words, written down."""

import asyncio
from collections.abc import Callable

from simulators.openai_audio import InputAudio, Utterance
from simulators.openai_conversation import CALLER_TOKEN_MS, Conversation, Entry, text_tokens
from simulators.openai_faults import Faults
from simulators.openai_requests import Refusal
from simulators.openai_settings import ActiveSettings, ServerVad
from simulators.openai_wire import (
    Committed,
    Content,
    ItemAdded,
    ItemDone,
    Message,
    ServerEvent,
    SpeechStartedEvent,
    SpeechStoppedEvent,
    TimeoutTriggered,
    TranscriptionCompleted,
    TranscriptionDelta,
    TranscriptionError,
    TranscriptionFailed,
    TranscriptionInputTokens,
    TranscriptionUsage,
    new_id,
    padding,
)
from simulators.speech import Heard, SpeechStarted, SpeechStopped, recognise

MIN_COMMIT_MS = 100


class Listener:
    def __init__(
        self,
        conversation: Conversation,
        settings: ActiveSettings,
        faults: Faults,
        *,
        emit: Callable[[ServerEvent], None],
        on_speech: Callable[[], None],
        on_turn: Callable[[], None],
        on_heard: Callable[[Heard], None],
        tasks: asyncio.TaskGroup,
    ) -> None:
        self._conversation = conversation
        self._settings = settings
        self._faults = faults
        self._emit, self._tasks = emit, tasks
        self._on_speech, self._on_turn, self._on_heard = on_speech, on_turn, on_heard
        self._input = InputAudio(settings.input_format, settings.turn_detection)
        self._turn_item_id = new_id("item")
        self._speech_due_ms: float | None = None
        self._late: list[tuple[Entry, Heard]] = []

    def configure(self, settings: ActiveSettings) -> None:
        old, self._settings = self._settings, settings
        if settings.input != old.input:
            self._input.configure(settings.input_format, settings.turn_detection)

    def append(self, audio: bytes) -> None:
        for event in self._input.append(audio):
            match event:
                case SpeechStarted():
                    self._speech_due_ms = None
                    self._emit(SpeechStartedEvent(event.at_ms, self._turn_item_id))
                    self._on_speech()
                case SpeechStopped():
                    self._emit(SpeechStoppedEvent(event.at_ms, self._turn_item_id))
                    self._commit(self._input.take())
                    self._on_turn()
        self._time_out()

    def commit(self) -> None:
        if self._input.buffered_ms < MIN_COMMIT_MS:
            message = (
                "Error committing input audio buffer: buffer too small. Expected at least "
                f"{MIN_COMMIT_MS}ms of audio, but buffer only has "
                f"{self._input.buffered_ms:.2f}ms of audio."
            )
            raise Refusal("input_audio_buffer_commit_empty", message)
        self._commit(self._input.take())

    def clear(self) -> None:
        self._input.clear()

    def expect_speech(self, agent_speaks_ms: float) -> None:
        """After so long the idle timeout begins: it counts from the end of playback."""
        if self._idle_timeout_ms is not None:
            self._speech_due_ms = self._input.now_ms + agent_speaks_ms + self._idle_timeout_ms

    def expect_nothing(self) -> None:
        self._speech_due_ms = None

    @property
    def _idle_timeout_ms(self) -> int | None:
        detection = self._settings.turn_detection
        return (detection.idle_timeout_ms or None) if isinstance(detection, ServerVad) else None

    def _time_out(self) -> None:
        if self._speech_due_ms is None or self._input.speaking:
            return
        if self._input.now_ms < self._speech_due_ms:
            return
        idle_since_ms = self._speech_due_ms - (self._idle_timeout_ms or 0)
        self._speech_due_ms = None
        self._emit(TimeoutTriggered(round(idle_since_ms), self._input.now_ms, self._turn_item_id))
        silence = self._input.take()
        self._commit(Utterance(silence.samples[:0], silence.rate_hz))
        self._on_turn()

    def _commit(self, utterance: Utterance) -> None:
        item_id, self._turn_item_id = self._turn_item_id, new_id("item")
        content = [Content("input_audio", transcript=None)]
        item = Message(id=item_id, status="completed", role="user", content=content)
        heard = asyncio.get_running_loop().create_future()
        entry = Entry(item, audio_ms=utterance.duration_ms, utterance=utterance, heard=heard)
        previous = self._conversation.add(entry)
        self._emit(Committed(previous, item_id))
        self._emit(ItemAdded(previous, item))
        self._emit(ItemDone(previous, item))
        self._tasks.create_task(self._understand(entry, utterance, heard))

    async def _understand(
        self, entry: Entry, utterance: Utterance, future: asyncio.Future[Heard]
    ) -> None:
        heard = await asyncio.to_thread(recognise, utterance.samples, utterance.rate_hz)
        future.set_result(heard)
        if not len(utterance.samples):
            return
        self._on_heard(heard)
        if self._settings.input.transcription is None:
            return
        if self._faults.late_transcription:
            self._late.append((entry, heard))
        else:
            self._transcribe(entry, heard)

    def transcribe_late(self) -> None:
        for entry, heard in self._late:
            self._transcribe(entry, heard)
        self._late.clear()

    def _transcribe(self, entry: Entry, heard: Heard) -> None:
        item_id = entry.item.id
        if self._faults.transcription_failed:
            message = "The transcription failed."
            error = TranscriptionError("server_error", "transcription_failed", message)
            self._emit(TranscriptionFailed(item_id, 0, error))
            return
        assert isinstance(entry.item, Message)
        entry.item.content = [Content("input_audio", transcript=heard.text)]
        self._emit(TranscriptionDelta(item_id, 0, heard.text, padding()))
        self._emit(TranscriptionCompleted(item_id, 0, heard.text, _usage(entry, heard)))


def _usage(entry: Entry, heard: Heard) -> TranscriptionUsage:
    audio, text = -(-round(entry.audio_ms) // CALLER_TOKEN_MS), text_tokens(heard.text)
    return TranscriptionUsage(
        "tokens", audio + text, audio, TranscriptionInputTokens(0, audio), text
    )
