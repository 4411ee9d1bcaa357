"""What each process wants to know at its start, and how it says so."""

from collections.abc import Callable, Mapping
from dataclasses import replace

import pytest

from phonebridge.errors import NotConfigured
from phonebridge.settings import (
    AuthHeader,
    ByteOrder,
    ControlSettings,
    MediaSettings,
    ModelAudio,
    SessionAck,
)

CONTROL = {
    "CALLS_TABLE": "calls",
    "BASE_PUBLIC_URL": "https://calls.example.com/",
    "TELNYX_API_KEY": "key",
    "TELNYX_PUBLIC_KEY": "public key",
    "TELNYX_CONNECTION_ID": "connection",
    "TELNYX_FROM_NUMBER": "+15550199",
    "STREAM_TOKEN_SECRET": "secret",
    "OPENAI_API_KEY": "key",
}
MEDIA = {
    "CALLS_TABLE": "calls",
    "STREAM_TOKEN_SECRET": "secret",
    "TELNYX_API_KEY": "key",
    "OPENAI_API_KEY": "key",
}


def control(**changes: str) -> ControlSettings:
    return ControlSettings.from_env(CONTROL | changes)


def media(**changes: str) -> MediaSettings:
    return MediaSettings.from_env(MEDIA | changes)


def problem(environ: Mapping[str, str]) -> str:
    with pytest.raises(NotConfigured) as raised:
        MediaSettings.from_env(environ)
    return str(raised.value)


def test_the_services_of_today_are_the_defaults() -> None:
    assert control().telnyx_api_base == media().telnyx_api_base == "https://api.telnyx.com/v2"
    assert control().openai_realtime_url == media().openai_realtime_url
    assert media().openai_realtime_url == "wss://api.openai.com/v1/realtime"
    assert media().openai_model == "gpt-realtime-2.1-mini"
    assert media().openai_auth_header is AuthHeader.AUTHORIZATION
    assert media().openai_session_ack is SessionAck.REQUIRED
    assert media().model_audio is ModelAudio.PCM24K
    assert control().max_call_minutes == media().max_call_minutes == 55


@pytest.mark.parametrize(
    ("base", "media_url"),
    [
        ("https://calls.example.com/", "wss://calls.example.com"),
        ("http://127.0.0.1:3000", "ws://127.0.0.1:3000"),
        ("https://example.com/calls", "wss://example.com/calls"),
    ],
)
def test_media_comes_where_webhooks_come_unless_it_is_said_otherwise(
    base: str, media_url: str
) -> None:
    assert control(BASE_PUBLIC_URL=base).media_public_url == media_url
    elsewhere = control(BASE_PUBLIC_URL=base, MEDIA_PUBLIC_URL="wss://media.example.com/")
    assert elsewhere.media_public_url == "wss://media.example.com"


def test_every_problem_is_named_at_once() -> None:
    text = problem(
        {
            "OPENAI_API_KEY": "  ",
            "TELNYX_API_BASE": "ftp://api.telnyx.com",
            "OPENAI_REALTIME_URL": "https://api.openai.com",
            "MODEL_AUDIO": "mp3",
            "MAX_CALL_MINUTES": "56",
            "MAX_CALLS_PER_TASK": "many",
        }
    )
    assert "CALLS_TABLE not configured" in text
    assert "STREAM_TOKEN_SECRET not configured" in text
    assert "OpenAI API key not configured" in text
    assert "Telnyx API key not configured" in text
    assert "TELNYX_API_BASE must be a http or https URL, not 'ftp://api.telnyx.com'" in text
    assert "OPENAI_REALTIME_URL must be a ws or wss URL" in text
    assert "MODEL_AUDIO must be one of pcm24k, g711, not 'mp3'" in text
    assert "MAX_CALL_MINUTES must be a whole number from 1 to 55, not '56'" in text
    assert "MAX_CALLS_PER_TASK must be a whole number from 1 to 1000, not 'many'" in text


@pytest.mark.parametrize("url", ["calls.example.com", "https://", "https://[::1", "https://:443"])
def test_what_is_no_url_is_named(url: str) -> None:
    with pytest.raises(NotConfigured, match="BASE_PUBLIC_URL must be a http or https URL"):
        control(BASE_PUBLIC_URL=url)


def test_good_values_are_read() -> None:
    settings = media(
        MODEL_AUDIO="g711",
        L16_BYTE_ORDER="little",
        MAX_CALLS_PER_TASK="12",
        MAX_CALL_MINUTES="30",
        OPENAI_MODEL="gpt-realtime-2.1",
        OPENAI_AUTH_HEADER="api-key",
        OPENAI_SESSION_ACK="assumed",
        OPENAI_REALTIME_URL="ws://127.0.0.1:9400/v1/realtime",
    )
    assert settings.openai_auth_header is AuthHeader.API_KEY
    assert settings.openai_session_ack is SessionAck.ASSUMED
    assert settings.model_audio is ModelAudio.G711
    assert settings.l16_byte_order is ByteOrder.LITTLE
    assert media().l16_byte_order is ByteOrder.BIG
    assert control(MODEL_AUDIO="g711").model_audio is ModelAudio.G711
    assert (settings.max_calls_per_task, settings.max_call_minutes) == (12, 30)
    assert settings.openai_model == "gpt-realtime-2.1"
    assert settings.openai_realtime_url == "ws://127.0.0.1:9400/v1/realtime"


@pytest.mark.parametrize(
    ("text", "hosts"),
    [
        ("", set()),
        ("127.0.0.1:8000", {("127.0.0.1", 8000)}),
        ("Tools.internal:80, [::1]:8443", {("tools.internal", 80), ("::1", 8443)}),
    ],
)
def test_hosts_of_tools_are_listed_with_their_ports(text: str, hosts: set[tuple[str, int]]) -> None:
    assert media(TOOL_HOSTS_ALLOWED=text).tool_hosts_allowed == hosts


@pytest.mark.parametrize(
    "text", ["127.0.0.1", "http://127.0.0.1:80", "a:port", "a:0", "me@a:80", "a:80/b", ":80", ","]
)
def test_what_is_no_such_list_is_named(text: str) -> None:
    with pytest.raises(NotConfigured, match="TOOL_HOSTS_ALLOWED must be a list"):
        media(TOOL_HOSTS_ALLOWED=text)


def test_the_lambdas_start_without_provider_keys_and_refuse_what_needs_them() -> None:
    settings = ControlSettings.from_env(
        {"CALLS_TABLE": "calls", "BASE_PUBLIC_URL": "https://calls.example.com"}
    )
    with pytest.raises(NotConfigured) as raised:
        settings.require_dialing()
    assert str(raised.value) == (
        "OpenAI API key, Telnyx API key, TELNYX_CONNECTION_ID, STREAM_TOKEN_SECRET not configured"
    )
    with pytest.raises(NotConfigured, match="TELNYX_PUBLIC_KEY, Telnyx API key"):
        settings.require_webhooks()


def test_a_missing_model_key_is_said_in_so_many_words() -> None:
    with pytest.raises(NotConfigured) as raised:
        replace(control(), openai_api_key="").require_dialing()
    assert str(raised.value) == "OpenAI API key not configured"


def test_what_is_complete_is_not_refused() -> None:
    control().require_dialing()
    control().require_webhooks()


def test_the_price_of_a_minute_is_an_amount_or_unknown() -> None:
    assert control().telnyx_minute_price is None
    assert control(TELNYX_MINUTE_PRICE="0.007").telnyx_minute_price == 0.007
    with pytest.raises(NotConfigured, match="TELNYX_MINUTE_PRICE must be an amount"):
        control(TELNYX_MINUTE_PRICE="cheap")


NOT_FOR_HEADERS = [
    "KEY\u2013abc",
    "\u201cKEY\u201d",
    "KEY\nX: y",
    "KEY abc",
    "KEY\u00e9",
    "KEY\x7f",
    "\ud800",
]


@pytest.mark.parametrize("value", NOT_FOR_HEADERS, ids=ascii)
@pytest.mark.parametrize("name", ["TELNYX_API_KEY", "OPENAI_API_KEY"])
@pytest.mark.parametrize("read", [control, media])
def test_a_key_that_fits_no_header_is_refused_at_start_by_its_name_alone(
    read: Callable[..., object], name: str, value: str
) -> None:
    with pytest.raises(NotConfigured, match=f"^{name} has characters") as refused:
        read(**{name: value})
    assert value not in str(refused.value)


@pytest.mark.parametrize("value", ["KEY0189ABC_x-Y.z~/+=", "sk-proj-abc", " KEY-with-margin \n"])
def test_keys_as_they_are_given_out_are_taken(value: str) -> None:
    settings = control(TELNYX_API_KEY=value, OPENAI_API_KEY=value)
    assert settings.telnyx_api_key == settings.openai_api_key == value.strip()
