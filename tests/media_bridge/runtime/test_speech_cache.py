"""Greetings and clips in the table."""

from copy import copy
from dataclasses import replace
from typing import TYPE_CHECKING

import pytest

from media_bridge.audio.codecs import Codec
from media_bridge.audio.converters import ModelToTelephone
from media_bridge.commands import ClipKind
from media_bridge.conversation.clip_recorder import MAX_CLIP_MS
from media_bridge.conversation.greeting import MAX_CACHED_MS, CachedGreeting
from media_bridge.openai.client import OpenAIRealtime
from media_bridge.runtime.speech_cache import MAX_SETS, TTL_SECONDS, FoundClips, SpeechCache
from media_bridge.speech.clips import SpeechClip, SpeechClips
from phonebridge.call.config import CallConfig, StreamSetup
from phonebridge.settings import ModelAudio
from tests.support.clock import Clock
from tests.support.media_plane import settings

if TYPE_CHECKING:
    from mypy_boto3_dynamodb import DynamoDBClient

    from phonebridge.settings import MediaSettings

CONFIG = CallConfig(greeting="Good morning!", stream_setup=StreamSetup.PREPARED)
SOUND = bytes(range(256)) * 20
WORDS = "Good morning"


@pytest.fixture
def process(table_name: str) -> "MediaSettings":
    return settings(calls_table=table_name)


def cache_of(process: "MediaSettings", client: "DynamoDBClient", clock: Clock) -> SpeechCache:
    return SpeechCache(process, OpenAIRealtime(process), client, clock)


@pytest.fixture
def cache(process: "MediaSettings", client: "DynamoDBClient", clock: Clock) -> SpeechCache:
    return cache_of(process, client, clock)


def test_what_was_kept_is_found(cache: SpeechCache) -> None:
    assert cache.find_greeting(CONFIG) is None
    cache.store_greeting(CONFIG, WORDS, SOUND)
    assert cache.find_greeting(CONFIG) == CachedGreeting(WORDS, SOUND)
    cache.store_greeting(CONFIG, WORDS, SOUND[:800])
    assert cache.find_greeting(CONFIG) == CachedGreeting(WORDS, SOUND[:800]), "the last one stays"


@pytest.mark.parametrize(
    "other",
    [
        replace(CONFIG, greeting="Good evening!"),
        replace(CONFIG, voice="cedar"),
        replace(CONFIG, speed=1.2),
        replace(CONFIG, model="gpt-realtime-2.1"),
        replace(CONFIG, greeting=None),
        replace(CONFIG, stream_setup=StreamSetup.WITH_DIAL),
    ],
)
def test_what_would_sound_different_is_not(cache: SpeechCache, other: CallConfig) -> None:
    cache.store_greeting(CONFIG, WORDS, SOUND)
    assert cache.find_greeting(other) is None


def test_instructions_make_no_other_greeting(cache: SpeechCache) -> None:
    cache.store_greeting(CONFIG, WORDS, SOUND)
    assert cache.find_greeting(replace(CONFIG, instructions="You are a pirate.", language="de"))


def test_another_model_has_another_voice(
    cache: SpeechCache, process: "MediaSettings", client: "DynamoDBClient", clock: Clock
) -> None:
    cache.store_greeting(CONFIG, WORDS, SOUND)
    other = cache_of(replace(process, openai_model="gpt-realtime-2.1"), client, clock)
    assert other.find_greeting(CONFIG) is None


def test_pcm_is_kept_as_the_line_speaks_and_serves_either_kind_of_session(
    cache: SpeechCache, process: "MediaSettings", client: "DynamoDBClient", clock: Clock
) -> None:
    pcm = cache_of(replace(process, model_audio=ModelAudio.PCM24K), client, clock)
    speech = bytes(range(240)) * 100
    pcm.store_greeting(CONFIG, WORDS, speech)
    whole = ModelToTelephone(Codec.PCMU)
    assert cache.find_greeting(CONFIG) == CachedGreeting(WORDS, whole.feed(speech) + whole.flush())


def test_the_longest_one_fits_into_an_item(cache: SpeechCache) -> None:
    longest = b"\x55" * (8 * MAX_CACHED_MS)
    cache.store_greeting(CONFIG, WORDS, longest)
    assert cache.find_greeting(CONFIG) == CachedGreeting(WORDS, longest)


def test_recorded_speech_expires_after_a_week(cache: SpeechCache, clock: Clock) -> None:
    cache.store_greeting(CONFIG, WORDS, SOUND)
    clock.pass_seconds(TTL_SECONDS + 1)
    assert cache.find_greeting(CONFIG) is None


# Clips.

FILLER = (ClipKind.FILLER, "One moment.", SOUND)
APOLOGY = (ClipKind.APOLOGY, "I am sorry.", SOUND[:800])
BOTH = SpeechClips(SpeechClip(*FILLER[1:]), SpeechClip(*APOLOGY[1:]))


def another_process(cache: SpeechCache) -> SpeechCache:
    """The same, with an empty memory."""
    forgetful = copy(cache)
    forgetful._held = {}
    return forgetful


def test_clips_that_were_recorded_are_found_by_every_process(cache: SpeechCache) -> None:
    for clip in (FILLER, APOLOGY):
        cache.store_clip(CONFIG, *clip)
    assert cache.find_clips(CONFIG) == FoundClips(BOTH)
    assert another_process(cache).find_clips(CONFIG) == FoundClips(BOTH)


def test_a_call_may_record_what_is_missing(cache: SpeechCache) -> None:
    assert cache.find_clips(CONFIG) == FoundClips(SpeechClips(), tuple(ClipKind))
    cache.store_clip(CONFIG, *FILLER)
    found = another_process(cache).find_clips(CONFIG)
    assert found == FoundClips(SpeechClips(filler=BOTH.filler), (ClipKind.APOLOGY,))


def test_one_call_a_minute_may_record_missing_clips(cache: SpeechCache, clock: Clock) -> None:
    cache.find_clips(CONFIG)
    clock.pass_seconds(59)
    assert cache.find_clips(CONFIG) == FoundClips()
    cache.store_clip(CONFIG, *FILLER)
    assert cache.find_clips(CONFIG) == FoundClips(SpeechClips(filler=BOTH.filler))
    clock.pass_seconds(1)
    assert cache.find_clips(CONFIG).missing == (ClipKind.APOLOGY,)


def test_no_call_may_at_a_server_that_cannot(cache: SpeechCache) -> None:
    cache.store_clip(CONFIG, *FILLER)
    cache.stop_recording()
    found = another_process(cache).find_clips(CONFIG)
    assert found == FoundClips(SpeechClips(filler=BOTH.filler))


def test_known_clips_are_read_once(
    cache: SpeechCache, clock: Clock, client: "DynamoDBClient"
) -> None:
    for clip in (FILLER, APOLOGY):
        another_process(cache).store_clip(CONFIG, *clip)
    reads: list[object] = []
    client.meta.events.register("after-call.dynamodb.Query", lambda **_: reads.append(None))
    for _ in range(3):
        assert cache.find_clips(CONFIG).clips == BOTH
        clock.pass_seconds(3600)
    assert len(reads) == 1


@pytest.mark.parametrize(
    "other",
    [
        replace(CONFIG, language="de"),
        replace(CONFIG, voice="cedar"),
        replace(CONFIG, speed=1.2),
        replace(CONFIG, model="gpt-realtime-2.1"),
        replace(CONFIG, codec="PCMA"),
    ],
)
def test_other_voices_and_languages_have_clips_of_their_own(
    cache: SpeechCache, other: CallConfig
) -> None:
    cache.store_clip(CONFIG, *FILLER)
    assert cache.find_clips(other).clips == SpeechClips()


@pytest.mark.parametrize(
    "other",
    [
        replace(CONFIG, instructions="You are a pirate."),
        replace(CONFIG, greeting=None),
        replace(CONFIG, language="en"),
        replace(CONFIG, stream_setup=StreamSetup.ON_ANSWER),
    ],
)
def test_other_settings_do_not_matter_to_clips(cache: SpeechCache, other: CallConfig) -> None:
    cache.store_clip(CONFIG, *FILLER)
    assert cache.find_clips(other).clips.filler == BOTH.filler


def test_clips_of_pcm_are_kept_as_the_line_speaks(
    cache: SpeechCache, process: "MediaSettings", client: "DynamoDBClient", clock: Clock
) -> None:
    pcm = cache_of(replace(process, model_audio=ModelAudio.PCM24K), client, clock)
    speech = bytes(range(240)) * 100
    pcm.store_clip(CONFIG, ClipKind.FILLER, WORDS, speech)
    whole = ModelToTelephone(Codec.PCMU)
    spoken = whole.feed(speech) + whole.flush()
    assert cache.find_clips(CONFIG).clips.filler == SpeechClip(WORDS, spoken)


def test_the_longest_clip_of_any_codec_fits_into_an_item(
    process: "MediaSettings", client: "DynamoDBClient", clock: Clock
) -> None:
    hd_voice = replace(CONFIG, codec="L16")
    pcm = cache_of(replace(process, model_audio=ModelAudio.PCM24K), client, clock)
    pcm.store_clip(hd_voice, ClipKind.APOLOGY, WORDS, bytes(48 * MAX_CLIP_MS))
    apology = another_process(pcm).find_clips(hd_voice).clips.apology
    assert apology is not None
    assert len(apology.sound) == 32 * MAX_CLIP_MS


def test_memory_holds_a_bounded_number_of_sets(cache: SpeechCache) -> None:
    for number in range(MAX_SETS + 1):
        cache.store_clip(replace(CONFIG, voice=f"voice-{number}"), *FILLER)
    assert len(cache._held) == MAX_SETS
