"""Recorded speech for calls to come, in the table: greetings, and clips (`speech/clips.py`)."""

import json
from collections.abc import Callable
from dataclasses import dataclass, replace
from hashlib import sha256
from threading import Lock
from typing import TYPE_CHECKING

from media_bridge.audio.codecs import Codec
from media_bridge.audio.converters import Converter, ModelToTelephone, PassThrough
from media_bridge.commands import ClipKind
from media_bridge.conversation.greeting import CachedGreeting
from media_bridge.runtime.model_port import SpeechModel
from media_bridge.speech.clip_words import instructions_for
from media_bridge.speech.clips import SpeechClip, SpeechClips
from phonebridge.call.config import CallConfig, StreamSetup
from phonebridge.settings import MediaSettings, ModelAudio
from phonebridge.storage.table import ItemKey, Table

if TYPE_CHECKING:
    from mypy_boto3_dynamodb import DynamoDBClient

TTL_SECONDS = 7 * 86_400
"""A changed text is a new key. The TTL only bounds speech that is never used again, such as a
greeting with a name in it."""
PIECE_BYTES = 4_800
"""100 ms of the model's sound: the resampler's memory grows with what it is fed at once."""
RECORDING_PAUSE_MS = 60_000
"""Once per minute, each process lets one call look up a set of clips and record the missing ones.
Otherwise a full container would record each clip many times."""
MAX_SETS = 100
"""Sets of clips that a process holds in memory; the oldest is dropped. A set takes 50 KB or so."""


@dataclass(frozen=True, slots=True)
class _StoredSpeech:
    """A stored recording. It has at most 240 KB of G.711 or 384 KB of L16
    (`conversation/greeting.py`). An item may have 400 KB."""

    words: str
    sound: bytes


@dataclass(frozen=True, slots=True)
class FoundClips:
    clips: SpeechClips = SpeechClips()
    missing: tuple[ClipKind, ...] = ()
    """The clips that this call may record."""


@dataclass(frozen=True, slots=True)
class _CachedClips:
    clips: SpeechClips
    read_at_ms: int


class SpeechCache:
    """Its methods wait for DynamoDB and belong into threads."""

    def __init__(
        self,
        settings: MediaSettings,
        model: SpeechModel,
        client: "DynamoDBClient",
        now_ms: Callable[[], int],
    ) -> None:
        self._table = Table(settings.calls_table, client, now_ms)
        self._now_ms = now_ms
        self._model = model
        self._model_audio = settings.model_audio
        self._held: dict[str, _CachedClips] = {}
        self._lock = Lock()
        self._may_record = True

    def find_greeting(self, config: CallConfig) -> CachedGreeting | None:
        if config.stream_setup is not StreamSetup.PREPARED or not config.greeting:
            return None
        stored = self._table.get(self._greeting_key(config), _StoredSpeech)
        return CachedGreeting(stored.words, stored.sound) if stored else None

    def store_greeting(self, config: CallConfig, words: str, sound: bytes) -> None:
        """`sound` is in the model's format."""
        stored = _StoredSpeech(words, self._to_line_codec(sound, Codec[config.codec]))
        self._table.put(self._greeting_key(config), stored, TTL_SECONDS)

    def find_clips(self, config: CallConfig) -> FoundClips:
        pk, now_ms = self._clips_pk(config), self._now_ms()
        held = self._held.get(pk)
        if held and (_is_complete(held.clips) or now_ms < held.read_at_ms + RECORDING_PAUSE_MS):
            return FoundClips(held.clips)
        clips = self._read_clips(pk)
        self._hold(pk, _CachedClips(clips, now_ms))
        return FoundClips(clips, _missing(clips) if self._may_record else ())

    def store_clip(self, config: CallConfig, kind: ClipKind, words: str, sound: bytes) -> None:
        """`sound` is in the model's format."""
        pk = self._clips_pk(config)
        clip = SpeechClip(words, self._to_line_codec(sound, Codec[config.codec]))
        self._table.put(ItemKey(pk, kind), _StoredSpeech(clip.words, clip.sound), TTL_SECONDS)
        held = self._held.get(pk) or _CachedClips(SpeechClips(), self._now_ms())
        self._hold(pk, replace(held, clips=replace(held.clips, **{kind.value: clip})))

    def stop_recording(self) -> None:
        """Stop recording, because the model's server cannot do it. Existing clips are still
        found."""
        self._may_record = False

    def _read_clips(self, pk: str) -> SpeechClips:
        found: dict[str, SpeechClip] = {}
        # A clip that is missed here is only recorded again.
        for stored in self._table.partition(pk, is_consistent=False):
            speech = stored.read(_StoredSpeech)
            found[stored.sk] = SpeechClip(speech.words, speech.sound)
        return SpeechClips(**found)

    def _hold(self, pk: str, held: _CachedClips) -> None:
        with self._lock:
            self._held[pk] = held
            if len(self._held) > MAX_SETS:
                del self._held[next(iter(self._held))]

    def _greeting_key(self, config: CallConfig) -> ItemKey:
        """Return the key of a greeting. The instructions are not part of it, although they
        influence how words are said. They often contain names and facts of one call, so hardly any
        greeting would be found again."""
        return ItemKey(self._pk("GREETING", config, config.greeting), "SOUND")

    def _clips_pk(self, config: CallConfig) -> str:
        wanted = [instructions_for(kind, config) for kind in ClipKind]
        return self._pk("CLIPS", config, *wanted)

    def _pk(self, kind: str, config: CallConfig, *words: str | None) -> str:
        """Return the partition key for a voice, its words and their encoding."""
        who = (config.voice, config.speed, self._model.name(config))
        parts = (*words, *who, config.codec)
        return f"{kind}#{sha256(json.dumps(parts).encode()).hexdigest()}"

    def _to_line_codec(self, sound: bytes, codec: Codec) -> bytes:
        pcm = self._model_audio is ModelAudio.PCM24K
        converter: Converter = ModelToTelephone(codec) if pcm else PassThrough()
        pieces = range(0, len(sound), PIECE_BYTES)
        spoken = (converter.feed(sound[at : at + PIECE_BYTES]) for at in pieces)
        return b"".join(spoken) + converter.flush()


def _missing(clips: SpeechClips) -> tuple[ClipKind, ...]:
    return tuple(kind for kind in ClipKind if getattr(clips, kind) is None)


def _is_complete(clips: SpeechClips) -> bool:
    return not _missing(clips)
