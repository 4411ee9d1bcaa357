"""Records the clips that a call's voice and language lack (`speech/clips.py`).

The model speaks them outside the conversation (OpenAI, "Realtime conversations": out-of-band
responses), while the call waits for the caller. They are not played to the caller. The responses
are recognised by their metadata, which the server returns. A server that does not return it, or
that adds the clip to the conversation, gets no further requests.
"""

from collections import deque
from dataclasses import dataclass, field

from media_bridge import events
from media_bridge.audio.codecs import MODEL_BYTES_PER_MS
from media_bridge.commands import (
    BridgeCommand,
    CancelResponse,
    ClipKind,
    DisableClips,
    KeepClip,
    Log,
    RecordClip,
)
from media_bridge.conversation.conversation import Conversation
from media_bridge.deadline import NEVER
from media_bridge.speech.clip_words import instructions_for
from phonebridge.call.config import CallConfig
from phonebridge.settings import ModelAudio

PAUSE_SECONDS = 1.0
"""A caller who has been silent for so long is probably not about to speak."""
UNLABELLED_SECONDS = 3.0
"""A response without metadata is taken for the clip if it starts so soon after the request."""
TIMEOUT_SECONDS = 15.0
"""A clip has to be complete so soon after its request."""
MAX_CLIP_MS = 10_000


@dataclass(slots=True)
class _Recording:
    command: RecordClip
    asked_at: float
    response_id: str | None = None
    items: set[str] = field(default_factory=set)
    words: list[str] = field(default_factory=list)
    sound: bytearray = field(default_factory=bytearray)


class ClipRecorder:
    """Records one clip at a time. `due_at` is when the next one may be requested, or when the
    current one has taken too long."""

    def __init__(
        self, missing: tuple[ClipKind, ...], config: CallConfig, model_audio: ModelAudio
    ) -> None:
        self.due_at = NEVER
        # With an idle timeout the server speaks up at any time, and its responses have no metadata.
        self._missing = deque(() if config.turn_detection.idle_timeout_ms else missing)
        self._config = config
        self._max_bytes = MAX_CLIP_MS * MODEL_BYTES_PER_MS[model_audio]
        self._recording: _Recording | None = None
        self._is_answer_due = False
        """True if the caller has spoken, so that the server starts a response without metadata."""
        self._responses: set[str] = set()
        self._items: set[str] = set()

    def check(self, conversation: Conversation, now: float) -> list[BridgeCommand]:
        """Ask for the next clip in a pause: the agent has spoken, and it is the caller's turn."""
        if self._recording:
            return self._time_out(now) if self.due_at <= now else []
        is_pause = (
            conversation.has_spoken and conversation.waits_for_caller and not self._is_answer_due
        )
        if not (self._missing and is_pause):
            self.due_at = NEVER
            return []
        if self.due_at == NEVER:
            self.due_at = now + PAUSE_SECONDS
        return self._ask(now) if self.due_at <= now else []

    def _ask(self, now: float) -> list[BridgeCommand]:
        kind = self._missing.popleft()
        command = RecordClip(kind, instructions_for(kind, self._config))
        self._recording = _Recording(command, now)
        self.due_at = now + TIMEOUT_SECONDS
        return [command]

    def handle(
        self, event: events.BridgeEvent, conversation: Conversation, now: float
    ) -> list[BridgeCommand] | None:
        """Answer an event of a clip. Return None for events that are not about clips."""
        recording = self._recording
        match event:
            case events.ResponseStarted():
                return self._on_started(event, conversation, now)
            case events.CallerSpeechStarted():
                self._is_answer_due = True
                return None
            case events.ModelErrorReceived() if recording and self._is_refused(event):
                return self._end(f"{event.code}: {event.message}", now)
        if getattr(event, "response_id", None) in self._responses:
            return self._on_response(event, now)
        return [] if getattr(event, "item_id", None) in self._items else None

    def lose_session(self) -> None:
        """Request the clip again in a later pause."""
        if self._recording:
            self._missing.appendleft(self._recording.command.kind)
        self._recording, self.due_at, self._is_answer_due = None, NEVER, False

    def _is_refused(self, error: events.ModelErrorReceived) -> bool:
        return self._recording is not None and error.event_id == self._recording.command.event_id

    def _on_started(
        self, event: events.ResponseStarted, conversation: Conversation, now: float
    ) -> list[BridgeCommand] | None:
        recording = self._recording
        if event.clip is None:
            if conversation.is_silent and not self._is_answer_due and self._is_awaited(now):
                return self._disable(event, "without their metadata", now)
            self._is_answer_due = False
            return None
        if event.is_in_conversation:
            return self._disable(event, "in the conversation", now)
        self._responses.add(event.response_id)
        if recording is None or recording.command.kind != event.clip:
            return [CancelResponse(event.response_id)]
        recording.response_id = event.response_id
        return []

    def _is_awaited(self, now: float) -> bool:
        """Return whether a clip may start now."""
        recording = self._recording
        if recording is None or recording.response_id is not None:
            return False
        return now < recording.asked_at + UNLABELLED_SECONDS

    def _on_response(self, event: events.BridgeEvent, now: float) -> list[BridgeCommand]:
        if isinstance(event, events.AudioReceived):
            self._items.add(event.item_id)
        recording = self._recording
        if recording is None or getattr(event, "response_id", None) != recording.response_id:
            return []
        match event:
            case events.AudioReceived(response_id, item_id, _, audio):
                recording.items.add(item_id)
                recording.sound += audio
                if len(recording.sound) > self._max_bytes:
                    return [CancelResponse(response_id), *self._give_up("it is too long", now)]
            case events.TranscriptReceived(_, _, text):
                recording.words.append(text)
            case events.TranscriptFinished(_, _, text):
                recording.words = [text]
            case events.ResponseEnded(_, status, detail):
                recording.words = [each.text for each in event.transcripts] or recording.words
                return self._on_ended(recording, status, detail, now)
        return []

    def _on_ended(
        self, recording: _Recording, status: str, detail: str, now: float
    ) -> list[BridgeCommand]:
        if status != "completed":
            return self._end(f"{status} {detail}", now)
        words = "".join(recording.words).strip()
        if len(recording.items) != 1 or not words:
            return self._give_up("it is not one spoken item with its words", now)
        self._recording, self.due_at = None, now  # the next one in the same pause
        return [KeepClip(recording.command.kind, words, bytes(recording.sound))]

    def _time_out(self, now: float) -> list[BridgeCommand]:
        known = self._recording.response_id if self._recording else None
        cancel = [CancelResponse(known)] if known else []
        self._missing.clear()
        commands = [*cancel, *self._end("it took too long", now)]
        self.due_at = NEVER
        return commands

    def _disable(self, event: events.ResponseStarted, how: str, now: float) -> list[BridgeCommand]:
        self._responses.add(event.response_id)
        reason = f"the server answered out-of-band requests {how}"
        return [CancelResponse(event.response_id), *self._give_up(reason, now)]

    def _give_up(self, reason: str, now: float) -> list[BridgeCommand]:
        """Stop recording, because another request would have the same result."""
        self._missing.clear()
        return [DisableClips(reason), *self._end(reason, now)]

    def _end(self, reason: str, now: float) -> list[BridgeCommand]:
        kind = self._recording.command.kind if self._recording else "clip"
        self._recording, self.due_at = None, now
        return [Log("warning", "clip not recorded", f"{kind}: {reason}")]
