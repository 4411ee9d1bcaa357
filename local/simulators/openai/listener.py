"""How the simulated model listens: it finds turns in the audio, recognises them and transcribes
them."""

import asyncio
from collections.abc import Callable

from simulators.audio.speech import Recognition, SpeechEnd, SpeechOnset, recognise
from simulators.openai.audio import InputAudio, Utterance
from simulators.openai.conversation import CALLER_TOKEN_MS, Entry, ModelConversation, text_tokens
from simulators.openai.faults import ModelFaults
from simulators.openai.requests import Refusal
from simulators.openai.settings import ActiveSettings, ServerVadSettings
from simulators.openai.wire import (
    CommittedEvent,
    Content,
    ConversationMessage,
    ItemAddedEvent,
    ItemDoneEvent,
    ServerEvent,
    SpeechStartedEvent,
    SpeechStoppedEvent,
    TimeoutTriggeredEvent,
    TranscriptionCompletedEvent,
    TranscriptionDeltaEvent,
    TranscriptionError,
    TranscriptionFailedEvent,
    TranscriptionInputTokens,
    TranscriptionTokenUsage,
    new_id,
    padding,
)

MIN_COMMIT_MS = 100


class Listener:
    def __init__(
        self,
        conversation: ModelConversation,
        settings: ActiveSettings,
        faults: ModelFaults,
        *,
        emit: Callable[[ServerEvent], None],
        on_speech: Callable[[], None],
        on_turn: Callable[[], None],
        on_recognition: Callable[[Recognition], None],
        tasks: asyncio.TaskGroup,
    ) -> None:
        self._conversation = conversation
        self._settings = settings
        self._faults = faults
        self._emit, self._tasks = emit, tasks
        self._on_speech, self._on_turn, self._on_recognition = on_speech, on_turn, on_recognition
        self._input = InputAudio(settings.input_format, settings.turn_detection)
        self._turn_item_id = new_id("item")
        self._speech_due_ms: float | None = None
        self._late: list[tuple[Entry, Recognition]] = []

    def configure(self, settings: ActiveSettings) -> None:
        old, self._settings = self._settings, settings
        if settings.input != old.input:
            self._input.configure(settings.input_format, settings.turn_detection)

    def append(self, audio: bytes) -> None:
        for event in self._input.append(audio):
            match event:
                case SpeechOnset():
                    self._speech_due_ms = None
                    self._emit(SpeechStartedEvent(event.at_ms, self._turn_item_id))
                    self._on_speech()
                case SpeechEnd():
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
        """Start the idle timeout after the agent's audio has been played, because that is where it
        counts from."""
        if self._idle_timeout_ms is not None:
            self._speech_due_ms = self._input.now_ms + agent_speaks_ms + self._idle_timeout_ms

    def expect_nothing(self) -> None:
        self._speech_due_ms = None

    @property
    def _idle_timeout_ms(self) -> int | None:
        detection = self._settings.turn_detection
        return (
            (detection.idle_timeout_ms or None)
            if isinstance(detection, ServerVadSettings)
            else None
        )

    def _time_out(self) -> None:
        if self._speech_due_ms is None or self._input.speaking:
            return
        if self._input.now_ms < self._speech_due_ms:
            return
        idle_since_ms = self._speech_due_ms - (self._idle_timeout_ms or 0)
        self._speech_due_ms = None
        self._emit(
            TimeoutTriggeredEvent(round(idle_since_ms), self._input.now_ms, self._turn_item_id)
        )
        silence = self._input.take()
        self._commit(Utterance(silence.samples[:0], silence.rate_hz))
        self._on_turn()

    def _commit(self, utterance: Utterance) -> None:
        item_id, self._turn_item_id = self._turn_item_id, new_id("item")
        content = [Content("input_audio", transcript=None)]
        item = ConversationMessage(id=item_id, status="completed", role="user", content=content)
        recognition = asyncio.get_running_loop().create_future()
        entry = Entry(
            item, audio_ms=utterance.duration_ms, utterance=utterance, recognition=recognition
        )
        previous = self._conversation.add(entry)
        self._emit(CommittedEvent(previous, item_id))
        self._emit(ItemAddedEvent(previous, item))
        self._emit(ItemDoneEvent(previous, item))
        self._tasks.create_task(self._understand(entry, utterance, recognition))

    async def _understand(
        self, entry: Entry, utterance: Utterance, future: asyncio.Future[Recognition]
    ) -> None:
        recognition = await asyncio.to_thread(recognise, utterance.samples, utterance.rate_hz)
        future.set_result(recognition)
        if not len(utterance.samples):
            return
        self._on_recognition(recognition)
        if self._settings.input.transcription is None:
            return
        if self._faults.late_transcription:
            self._late.append((entry, recognition))
        else:
            self._transcribe(entry, recognition)

    def transcribe_late(self) -> None:
        for entry, recognition in self._late:
            self._transcribe(entry, recognition)
        self._late.clear()

    def _transcribe(self, entry: Entry, recognition: Recognition) -> None:
        item_id = entry.item.id
        if self._faults.transcription_failed:
            message = "The transcription failed."
            error = TranscriptionError("server_error", "transcription_failed", message)
            self._emit(TranscriptionFailedEvent(item_id, 0, error))
            return
        assert isinstance(entry.item, ConversationMessage)
        entry.item.content = [Content("input_audio", transcript=recognition.text)]
        self._emit(TranscriptionDeltaEvent(item_id, 0, recognition.text, padding()))
        self._emit(
            TranscriptionCompletedEvent(item_id, 0, recognition.text, _usage(entry, recognition))
        )


def _usage(entry: Entry, recognition: Recognition) -> TranscriptionTokenUsage:
    audio, text = -(-round(entry.audio_ms) // CALLER_TOKEN_MS), text_tokens(recognition.text)
    return TranscriptionTokenUsage(
        "tokens", audio + text, audio, TranscriptionInputTokens(0, audio), text
    )
