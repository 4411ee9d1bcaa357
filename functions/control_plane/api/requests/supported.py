"""Checks what a deployment supports. Unsupported settings are refused before any phone rings. If
only the provider can know, the response contains a warning."""

import re
import socket
from collections.abc import Iterator
from urllib.parse import urlsplit

from control_plane.api.requests.agent_settings import AgentSettings
from control_plane.api.requests.fields import InvalidField
from control_plane.api.requests.model_settings import NEAREST_VOICE
from phonebridge.call.config import CallConfig
from phonebridge.call.tools import Tools
from phonebridge.http.addresses import is_public
from phonebridge.http.server_url import host_and_port
from phonebridge.settings import ControlSettings, ModelAudio

_OPENAI_HOST = "api.openai.com"
# OpenAI answers `invalid_model` for these (https://developers.openai.com/docs/models). Names of a
# family that is not listed pass: it may be newer than this list.
_NOT_REALTIME = re.compile(
    r"(ft:)?(gpt-[345]|gpt-(live|image|oss)|chatgpt|o[134](-|$)|codex|computer-use|sora|dall-e"
    r"|tts|text-|omni-moderation|davinci|babbage|whisper|gpt-transcribe|gpt-realtime-whisper)"
)
_REALTIME = re.compile(r"realtime(?!-whisper)")
_TRANSCRIBES = re.compile(r"transcribe|whisper")
# OpenAI, "Deprecations".
_LAST_DAYS = (
    (re.compile(r"gpt-realtime(-mini)?(-20\d\d-\d\d-\d\d)?"), "2027-01-20"),
    (re.compile(r"whisper-1|gpt-4o(-mini)?-transcribe(-.+)?"), "2027-02-26"),
)


def check_supported(wanted: AgentSettings, config: CallConfig, settings: ControlSettings) -> None:
    """Raise `InvalidField` for settings that can never work here. `config` combines `wanted` with
    the agent, if there is one. An accepted agent is checked again, because the deployment's
    settings may have changed."""
    if config.codec == "L16" and settings.model_audio is ModelAudio.G711:
        raise InvalidField("codec", "L16 needs a deployment with MODEL_AUDIO=pcm24k")
    check_tools(wanted, config.tools, settings)
    if config.webhook_url and (problem := _server_problem(config.webhook_url, settings)):
        raise _invalid(wanted, "webhook_url", problem)
    if _is_openai(settings):
        if config.model and _is_of_another_family(config.model):
            raise _invalid(wanted, "model", f"{config.model} is not a Realtime model")
        if _cannot_transcribe(config.transcription.model):
            problem = f"{config.transcription.model} is not a transcription model"
            raise _invalid(wanted, "transcription.model", problem)


def check_tools(wanted: AgentSettings, tools: Tools, settings: ControlSettings) -> None:
    """Raise `InvalidField` for a tool whose server cannot be called."""
    places = {
        name: f"tools.{index}"
        for index, tool in enumerate(wanted.tools or ())
        if (name := getattr(tool, "name", None) or getattr(tool, "server_label", None))
    }
    for function in tools.functions:
        if problem := _server_problem(function.url, settings):
            place = places.get(function.name, f"tools.{function.name}")
            raise _invalid(wanted, f"{place}.url", problem)
    for server in tools.mcp_servers if _is_openai(settings) else ():
        if _is_private(server.url):
            place = places.get(server.label, f"tools.{server.label}")
            problem = "must be at a public address: OpenAI's servers call it"
            raise _invalid(wanted, f"{place}.server_url", problem)


def warnings_of(wanted: AgentSettings, settings: ControlSettings) -> list[str]:
    """Return a warning for each setting that is valid but has no effect here."""
    return list(_warnings(wanted, settings))


def voice_warnings(voice: str | None) -> list[str]:
    nearest = NEAREST_VOICE.get(voice or "")
    return [f"voice: {voice} is no Realtime voice; {nearest} speaks instead."] if nearest else []


def _warnings(wanted: AgentSettings, settings: ControlSettings) -> Iterator[str]:
    transcription = wanted.transcription.model if wanted.transcription else None
    yield from voice_warnings(wanted.voice)
    for field, model in (("model", wanted.model), ("transcription.model", transcription)):
        for name, day in _LAST_DAYS:
            if model and name.fullmatch(model):
                yield f"{field}: {model} is shut down on {day}."
    yield from _family_warnings(wanted.model, transcription, settings)
    if wanted.temperature is not None:
        yield "temperature: has no effect, the Realtime API no longer knows it."
    default_url = settings.outcome_webhook_url
    if (
        default_url
        and not wanted.webhook_url
        and (problem := _server_problem(default_url, settings))
    ):
        yield f"webhook_url: OUTCOME_WEBHOOK_URL {problem}; no outcome is delivered."


def _family_warnings(
    model: str | None, transcription: str | None, settings: ControlSettings
) -> Iterator[str]:
    """Other servers accept any model name. On Azure OpenAI, it is the name of a deployment."""
    if model and _is_openai(settings) and not _REALTIME.search(model):
        yield f"model: {model} is not known to be a Realtime model."
    elif model and _is_of_another_family(model):
        yield f"model: {model} is not a Realtime model at OpenAI."
    if transcription and not _is_openai(settings) and _cannot_transcribe(transcription):
        yield f"transcription.model: {transcription} is not a transcription model at OpenAI."


def _invalid(wanted: AgentSettings, field: str, problem: str) -> InvalidField:
    """Return the error. It blames the agent for fields that the request did not set."""
    if getattr(wanted, field.partition(".")[0]) is None:
        return InvalidField("agent", f"has {field}, which {problem}")
    return InvalidField(field, problem)


def _is_openai(settings: ControlSettings) -> bool:
    return urlsplit(settings.openai_realtime_url).hostname == _OPENAI_HOST


def _is_of_another_family(model: str) -> bool:
    return bool(_NOT_REALTIME.match(model)) and not _REALTIME.search(model)


def _cannot_transcribe(model: str) -> bool:
    is_of_openai = _NOT_REALTIME.match(model) or _REALTIME.search(model)
    return bool(is_of_openai) and not _TRANSCRIBES.search(model)


def _server_problem(url: str, settings: ControlSettings) -> str | None:
    host, port = host_and_port(url)
    if (host, port) in settings.tool_hosts_allowed:
        return None
    if urlsplit(url).scheme != "https":
        return f"must be https, or TOOL_HOSTS_ALLOWED must name {host}:{port}"
    if _is_private(url):
        return f"must be at a public address, or TOOL_HOSTS_ALLOWED must name {host}:{port}"
    return None


def _is_private(url: str) -> bool:
    """Return whether the URL names a private address. Host names are resolved and checked when the
    tool is called."""
    host = host_and_port(url)[0].rstrip(".")
    if host == "localhost" or host.endswith(".localhost"):  # RFC 6761, section 6.3
        return True
    try:
        # The short forms too that resolvers take, such as 127.1 and 0x7f000001.
        return not is_public(socket.inet_ntoa(socket.inet_aton(host)))
    except OSError:
        return ":" in host and not is_public(host)
