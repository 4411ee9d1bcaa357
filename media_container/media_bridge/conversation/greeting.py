"""The first words of a call, which may be cached from an earlier call or for later ones.

A cached greeting is played without the model. The model receives the played words as text: all of
them, or those before an interruption.
"""

import re
from dataclasses import dataclass, field

from media_bridge import events
from media_bridge.audio.codecs import MODEL_BYTES_PER_MS, Codec
from media_bridge.commands import BridgeCommand, CacheGreeting, CreateResponse
from media_bridge.conversation.conversation import Conversation
from media_bridge.conversation.response_queue import Purpose
from phonebridge.call.config import CallConfig, StreamSetup
from phonebridge.settings import ModelAudio

CACHED_ITEM_ID = "kept-greeting"
"""Replaces the item id of the model's own speech."""
MAX_CACHED_MS = 30_000
MAX_CACHED_BYTES = 384_000
"""A greeting of 12 s in L16 has this size. An item of DynamoDB has at most 400 KB."""


@dataclass(frozen=True, slots=True)
class CachedGreeting:
    """Words, and their sound in the codec in which we speak on the line."""

    words: str
    sound: bytes


@dataclass(slots=True)
class GreetingRecorder:
    """Records the first response of a session, which must say `wanted`. It keeps only a complete
    response of one item, with exactly these words."""

    wanted: str
    bytes_per_ms: int
    """Bytes per millisecond of the model's format."""
    max_ms: int = MAX_CACHED_MS
    _response_id: str | None = None
    _items: set[str] = field(default_factory=set)
    _words: list[str] = field(default_factory=list)
    _sound: bytearray = field(default_factory=bytearray)

    @classmethod
    def of(cls, config: CallConfig, model_audio: ModelAudio) -> "GreetingRecorder | None":
        """Return None for calls whose greeting is not known beforehand."""
        if config.stream_setup is not StreamSetup.PREPARED or not config.greeting:
            return None
        fits_ms = MAX_CACHED_BYTES // Codec[config.codec].bytes_per_ms
        max_ms = min(MAX_CACHED_MS, fits_ms)
        return cls(config.greeting, MODEL_BYTES_PER_MS[model_audio], max_ms)

    def record(self, event: events.ConversationEvent) -> CacheGreeting | None:
        match event:
            case events.ResponseStarted(response_id) if self._response_id is None:
                self._response_id = response_id
            case events.AudioReceived(response_id, item_id, _, audio) if self._is_mine(response_id):
                self._items.add(item_id)
                self._sound += audio if self._is_short else b""
            case events.TranscriptReceived(response_id, _, text) if self._is_mine(response_id):
                self._words.append(text)
            case events.TranscriptFinished(response_id, _, text) if self._is_mine(response_id):
                self._words = [text] if text else self._words
            case events.ResponseEnded(response_id, status) if self._is_mine(response_id):
                self._words = [each.text for each in event.transcripts] or self._words
                recording = self._finished_recording() if status == "completed" else None
                self._sound.clear()
                return recording
        return None

    @property
    def has_begun(self) -> bool:
        return self._response_id is not None

    def _is_mine(self, response_id: str) -> bool:
        return response_id == self._response_id

    @property
    def _is_short(self) -> bool:
        return len(self._sound) <= self.max_ms * self.bytes_per_ms

    def _finished_recording(self) -> CacheGreeting | None:
        words = "".join(self._words).strip()
        if (
            len(self._items) != 1
            or not self._is_short
            or _spoken_words(words) != _spoken_words(self.wanted)
        ):
            return None
        return CacheGreeting(words, bytes(self._sound))


class Greeting:
    """Lets the agent speak first: from the cache, or by the model, whose words it records."""

    def __init__(
        self,
        config: CallConfig,
        model_audio: ModelAudio,
        cached: CachedGreeting | None,
        is_wanted: bool = True,
    ) -> None:
        self._config = config
        self._model_audio = model_audio
        self._cached = cached if is_wanted else None
        self._is_wanted = is_wanted
        self.start_over()

    def start_over(self) -> None:
        """Forget the greeting. The model's session was lost before the call was answered, so the
        caller was not greeted."""
        self._is_requested = False
        self._recorder = GreetingRecorder.of(self._config, self._model_audio)

    @property
    def is_cached(self) -> bool:
        return self._cached is not None

    def play_cached(self, conversation: Conversation, now: float) -> None:
        if self._cached and not conversation.ignores_caller:
            words, sound = self._cached.words, self._cached.sound
            conversation.agent_audio.play_recorded(CACHED_ITEM_ID, words, sound, now)

    def request(
        self, conversation: Conversation, has_listener: bool, now: float
    ) -> list[BridgeCommand]:
        """Let the model greet once: when somebody listens, or earlier to prepare the greeting."""
        prepares = self._config.stream_setup is StreamSetup.PREPARED
        is_done = self.is_cached or self._is_requested or not self._is_wanted
        if is_done or conversation.ignores_caller:
            return []
        if not (has_listener or prepares):
            return []
        self._is_requested = True
        # A prepared greeting calls no tools, because the call may not be answered.
        request = CreateResponse(self._config.greeting, allow_tools=has_listener)
        return conversation.request_response(request, Purpose.GREETING, now)

    def lose_session(self) -> None:
        """Do not cache a greeting that was cut. A repeated one may be cached."""
        if self._recorder and self._recorder.has_begun:
            self._recorder = None

    @property
    def is_recording(self) -> bool:
        return self._recorder is not None

    def record(self, event: events.ConversationEvent) -> list[BridgeCommand]:
        """Record the model's greeting. At its end, ask for it to be cached."""
        recording = self._recorder.record(event) if self._recorder else None
        return [recording] if recording else []


def _spoken_words(text: str) -> list[str]:
    """List the words of a text that a listener hears."""
    return re.findall(r"\w+", text.casefold())
