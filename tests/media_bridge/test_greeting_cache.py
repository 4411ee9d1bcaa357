"""Greetings in the table."""

from dataclasses import replace
from typing import TYPE_CHECKING

import pytest

from media_bridge.audio import Codec, ModelToTelephone
from media_bridge.greeting import LONGEST_KEPT_MS, KeptGreeting
from media_bridge.greeting_cache import KEPT_SECONDS, GreetingCache
from media_bridge.openai.client import OpenAIRealtime
from phonebridge.call_config import CallConfig, StreamSetup
from phonebridge.settings import ModelAudio
from support.clock import Clock
from support.media_plane import settings

if TYPE_CHECKING:
    from mypy_boto3_dynamodb import DynamoDBClient

    from phonebridge.settings import MediaSettings

CONFIG = CallConfig(greeting="Good morning!", stream_setup=StreamSetup.PREPARED)
SOUND = bytes(range(256)) * 20
WORDS = "Good morning"


@pytest.fixture
def process(table_name: str) -> "MediaSettings":
    return settings(calls_table=table_name)


def cache_of(process: "MediaSettings", client: "DynamoDBClient", clock: Clock) -> GreetingCache:
    return GreetingCache(process, OpenAIRealtime(process), client, clock)


@pytest.fixture
def cache(process: "MediaSettings", client: "DynamoDBClient", clock: Clock) -> GreetingCache:
    return cache_of(process, client, clock)


def test_what_was_kept_is_found(cache: GreetingCache) -> None:
    assert cache.find(CONFIG) is None
    cache.keep(CONFIG, WORDS, SOUND)
    assert cache.find(CONFIG) == KeptGreeting(WORDS, SOUND)
    cache.keep(CONFIG, WORDS, SOUND[:800])
    assert cache.find(CONFIG) == KeptGreeting(WORDS, SOUND[:800]), "the last one stays"


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
def test_what_would_sound_different_is_not(cache: GreetingCache, other: CallConfig) -> None:
    cache.keep(CONFIG, WORDS, SOUND)
    assert cache.find(other) is None


def test_instructions_make_no_other_greeting(cache: GreetingCache) -> None:
    cache.keep(CONFIG, WORDS, SOUND)
    assert cache.find(replace(CONFIG, instructions="You are a pirate.", language="de"))


def test_another_model_has_another_voice(
    cache: GreetingCache, process: "MediaSettings", client: "DynamoDBClient", clock: Clock
) -> None:
    cache.keep(CONFIG, WORDS, SOUND)
    other = cache_of(replace(process, openai_model="gpt-realtime-2.1"), client, clock)
    assert other.find(CONFIG) is None


def test_pcm_is_kept_as_the_line_speaks_and_serves_either_kind_of_session(
    cache: GreetingCache, process: "MediaSettings", client: "DynamoDBClient", clock: Clock
) -> None:
    pcm = cache_of(replace(process, model_audio=ModelAudio.PCM24K), client, clock)
    speech = bytes(range(240)) * 100
    pcm.keep(CONFIG, WORDS, speech)
    whole = ModelToTelephone(Codec.PCMU)
    assert cache.find(CONFIG) == KeptGreeting(WORDS, whole.feed(speech) + whole.flush())


def test_the_longest_one_fits_into_an_item(cache: GreetingCache) -> None:
    longest = b"\x55" * (8 * LONGEST_KEPT_MS)
    cache.keep(CONFIG, WORDS, longest)
    assert cache.find(CONFIG) == KeptGreeting(WORDS, longest)


def test_it_is_forgotten_after_a_week(cache: GreetingCache, clock: Clock) -> None:
    cache.keep(CONFIG, WORDS, SOUND)
    clock.pass_seconds(KEPT_SECONDS + 1)
    assert cache.find(CONFIG) is None
