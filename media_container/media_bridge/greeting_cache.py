"""Greetings kept for calls to come, in the table: one item for each that sounds different."""

import json
from collections.abc import Callable
from dataclasses import dataclass
from hashlib import sha256
from typing import TYPE_CHECKING

from media_bridge.audio import Codec, Converter, ModelToTelephone, PassThrough
from media_bridge.greeting import KeptGreeting
from media_bridge.speech_model import SpeechModel
from phonebridge.call_config import CallConfig, StreamSetup
from phonebridge.settings import MediaSettings, ModelAudio
from phonebridge.table import Key, Table

if TYPE_CHECKING:
    from mypy_boto3_dynamodb import DynamoDBClient

KEPT_SECONDS = 7 * 86_400
"""Whoever changes a greeting waits for nothing: other words are another item. This bounds what
greetings of one call only, with a name in them, take up."""
PIECE_BYTES = 4_800
"""100 ms of the model's sound: the resampler's memory grows with what it is fed at once."""


@dataclass(frozen=True, slots=True)
class _StoredGreeting:
    """At most 240 KB of G.711, or 384 of L16 (`greeting.py`), of the 400 that an item may be."""

    words: str
    sound: bytes


class GreetingCache:
    """Its methods wait for DynamoDB and belong into threads."""

    def __init__(
        self,
        settings: MediaSettings,
        model: SpeechModel,
        client: "DynamoDBClient",
        now_ms: Callable[[], int],
    ) -> None:
        self._table = Table(settings.calls_table, client, now_ms)
        self._model = model
        self._model_audio = settings.model_audio

    def find(self, config: CallConfig) -> KeptGreeting | None:
        if config.stream_setup is not StreamSetup.PREPARED or not config.greeting:
            return None
        stored = self._table.get(self._key(config), _StoredGreeting)
        return KeptGreeting(stored.words, stored.sound) if stored else None

    def keep(self, config: CallConfig, words: str, sound: bytes) -> None:
        """`sound` is in the model's format."""
        stored = _StoredGreeting(words, self._as_spoken(sound, Codec[config.codec]))
        self._table.put(self._key(config), stored, KEPT_SECONDS)

    def _key(self, config: CallConfig) -> Key:
        """Who says which words, and how it is coded. Instructions colour how it is said, but they
        differ from call to call for reasons that a greeting does not show (names, facts), and with
        them in the key hardly any greeting would be found twice."""
        who = (config.voice, config.speed, self._model.name(config))
        parts = (config.greeting, *who, config.codec)
        return Key(f"GREETING#{sha256(json.dumps(parts).encode()).hexdigest()}", "SOUND")

    def _as_spoken(self, sound: bytes, codec: Codec) -> bytes:
        pcm = self._model_audio is ModelAudio.PCM24K
        converter: Converter = ModelToTelephone(codec) if pcm else PassThrough()
        pieces = range(0, len(sound), PIECE_BYTES)
        spoken = (converter.feed(sound[at : at + PIECE_BYTES]) for at in pieces)
        return b"".join(spoken) + converter.flush()
