"""Between the bridge and the Realtime wire: commands become client events, server events become
what happened. Pure; the socket is the client's (`client.py`)."""

import re
from typing import Any

import msgspec

from media_bridge import commands, events
from media_bridge.audio import Codec
from media_bridge.openai import realtime, session, tools
from media_bridge.openai.updates import Proposed, Updates
from media_bridge.speech_model import ModelCommand
from phonebridge.billing import Usage
from phonebridge.call_config import CallConfig
from phonebridge.settings import MediaSettings, SessionAck
from phonebridge.steering import Update
from phonebridge.tools import Tools

_SessionEvent = (
    realtime.SessionCreated
    | realtime.SessionUpdated
    | realtime.ResponseCreated
    | realtime.ResponseDone
    | realtime.Error
    | tools.ToolEvent
)

CLIP = "phonebridge_clip"
"""Key of the metadata of a response that records a clip."""

# Refusals of a key repeat parts of it.
_KEY = re.compile(r"\b([se]k[-_])[\w*-]+")


class RealtimeProtocol:
    """One session's translator; it remembers what it asked for, to judge what it got."""

    def __init__(self, config: CallConfig, settings: MediaSettings, model: str) -> None:
        self._config = config
        self._settings = settings
        self._model = model
        self._asked: realtime.Session | None = None
        self._spoken = self._line = Codec[config.codec]
        self._updates = Updates()

    def encode(self, command: ModelCommand) -> bytes:
        if isinstance(command, commands.AppendAudio):  # a `case` takes twice as long
            return realtime.encode_append(command.audio)
        match command:
            case commands.ConfigureModel(line):
                return realtime.encode(realtime.SessionUpdate(self._ask(line)))
            case commands.UpdateSession(update):
                return realtime.encode(self._propose(update))
            case commands.Respond() | commands.RecordClip():
                return realtime.encode(self._response(command))
            case commands.AddText(role, text):
                return realtime.encode(realtime.ItemCreate(realtime.message(role, text)))
            case commands.AnswerTool(call_id, output):
                item = tools.FunctionOutputItem(call_id, output)
                return realtime.encode(realtime.ItemCreate(item))
            case commands.RefuseApproval(request_id):
                return realtime.encode(realtime.ItemCreate(tools.refusal(request_id)))
            case commands.CancelResponse(response_id):
                return realtime.encode(realtime.ResponseCancel(response_id))
            case commands.TruncateItem(item_id, content_index, audio_end_ms):
                return realtime.encode(realtime.ItemTruncate(item_id, content_index, audio_end_ms))

    def _response(self, request: commands.Respond | commands.RecordClip) -> realtime.ResponseCreate:
        if isinstance(request, commands.RecordClip):
            return self._out_of_band(request)
        words_only = bool(request.saying) or not request.may_call
        choice = "none" if words_only and self._config.tools != Tools() else None
        settings = realtime.ResponseSettings(session.told(self._config, request), choice)
        empty = settings == realtime.ResponseSettings()
        return realtime.ResponseCreate(None if empty else settings)

    def _out_of_band(self, request: commands.RecordClip) -> realtime.ResponseCreate:
        """Without the conversation as input: it would be paid for, and could change the words."""
        settings = realtime.ResponseSettings(
            request.instructions,
            tool_choice=None if self._config.tools == Tools() else "none",
            conversation="none",
            input=(),
            metadata={CLIP: request.kind},
        )
        return realtime.ResponseCreate(settings, request.event_id)

    def decode(self, text: realtime.Text) -> events.ModelEvent | None:
        """None for what a phone bridge need not know."""
        try:
            event = realtime.decode(text)
        except realtime.MalformedEvent as error:
            return events.ModelComplained("malformed_event", str(error)) if self._asked else None
        return None if isinstance(event, realtime.Unknown) else self._happened(event)

    def assumed(self, command: ModelCommand) -> events.ModelEvent | None:
        if self._settings.openai_session_ack is not SessionAck.ASSUMED:
            return None
        if isinstance(command, commands.UpdateSession) and (proposed := self._updates.take()):
            return self._updated(proposed, proposed.session)
        return events.ModelReady() if isinstance(command, commands.ConfigureModel) else None

    def _ask(self, line: Codec) -> realtime.Session:
        self._line = line
        self._asked = self._session(self._config)
        return self._asked

    def _session(self, config: CallConfig) -> realtime.Session:
        audio = self._settings.model_audio
        given = session.Circumstances(self._model, audio, self._line, self._spoken)
        return session.requested(config, given)

    def _propose(self, update: Update) -> realtime.SessionUpdate:
        after = update.applied_to(self._config)
        return self._updates.propose(
            update, session.changed(self._session(self._config), self._session(after))
        )

    def _happened(self, event: realtime.ServerEvent) -> events.ModelEvent | None:
        match event:
            case realtime.OutputAudioDelta(response_id, item_id, delta, index):
                return events.AudioReceived(response_id, item_id, index, delta)
            case realtime.OutputAudioTranscriptDelta(response_id, item_id, delta):
                return events.WordsReceived(response_id, item_id, delta)
            case realtime.OutputAudioDone(item_id):
                return events.AudioFinished(item_id)
            case realtime.SpeechStarted(item_id, audio_start_ms):
                return events.CallerSpeechStarted(item_id, self._began_ms(audio_start_ms))
            case realtime.SpeechStopped(item_id, audio_end_ms):
                return events.CallerSpeechStopped(item_id, self._ended_ms(audio_end_ms))
            case realtime.TranscriptionCompleted(item_id, transcript, usage):
                return events.CallerTranscribed(item_id, transcript or "", _transcribed(usage))
            case realtime.TranscriptionFailed(item_id):
                return events.CallerTranscribed(item_id, "")
            case _:
                return self._of_session(event)

    def _began_ms(self, audio_start_ms: float | None) -> float | None:
        detector = self._config.turn_detection
        padding_ms = detector.prefix_padding_ms if detector.type == "server_vad" else 0
        return None if audio_start_ms is None else audio_start_ms + padding_ms

    def _ended_ms(self, audio_end_ms: float | None) -> float | None:
        detector = self._config.turn_detection
        silence_ms = detector.silence_duration_ms if detector.type == "server_vad" else 0
        return None if audio_end_ms is None else audio_end_ms - silence_ms

    def _of_session(self, event: _SessionEvent) -> events.ModelEvent | None:
        match event:
            case realtime.SessionCreated():
                return events.ModelConnected()
            case realtime.SessionUpdated(in_force):
                return self._judged(in_force)
            case realtime.ResponseCreated(response):
                return _started(response)
            case realtime.ResponseDone(response):
                return _ended(response)
            case realtime.Error(error) if self._updates.refused(error):
                return events.SettingsRefused(f"{error.code}: {error.param or error.message}")
            case realtime.Error(error):
                message = _KEY.sub(r"\1…", error.message or "")
                code = error.code or error.type or "error"
                return events.ModelComplained(code, message, error.event_id)
            case _:
                return tools.happened(event)

    def _judged(self, in_force: realtime.Session) -> events.ModelEvent | None:
        if self._asked is None:
            return None
        if proposed := self._updates.take():
            return self._updated(proposed, in_force)
        difference = session.disagreement(self._asked, in_force)
        return events.ModelRefused(difference) if difference else events.ModelReady()

    def _updated(self, proposed: Proposed, in_force: realtime.Session) -> events.ModelEvent:
        if difference := session.disagreement(proposed.session, in_force):
            return events.SettingsRefused(difference)
        self._config = proposed.update.applied_to(self._config)
        self._asked = self._session(self._config)
        return events.SettingsUpdated(self._config, tuple(proposed.update.changes))


def _started(response: realtime.Response) -> events.ResponseStarted:
    if CLIP.encode() not in bytes(response.metadata):
        return events.ResponseStarted(response.id)
    metadata: dict[str, str] = _read(response.metadata, dict[str, str]) or {}
    clip = metadata.get(CLIP)
    joins = _read(response.conversation_id, str) is not None
    return events.ResponseStarted(response.id, clip, is_in_conversation=joins or clip is None)


def _ended(response: realtime.Response) -> events.ResponseEnded:
    return events.ResponseEnded(
        response_id=response.id,
        status=response.status or "completed",
        detail=_detail(response.status_details),
        usage=_used(response),
        calls=tools.calls_in(response.id, response.output),
    )


class _StatusError(msgspec.Struct):
    type: str | None = None
    code: str | None = None
    message: str | None = None


class _StatusDetails(msgspec.Struct):
    reason: str | None = None
    error: _StatusError | None = None


def _detail(raw: msgspec.Raw) -> str:
    """`status_details` is an object in the reference; some servers have sent a string or null."""
    details = _read(raw, _StatusDetails | str)
    if isinstance(details, _StatusDetails):
        error = details.error or _StatusError()
        known = (details.reason, error.code or error.type, error.message)
        return ": ".join(part for part in known if part)
    return details or ""


def _read(raw: msgspec.Raw, kind: Any) -> Any:
    """None for null, and for what is of another kind."""
    try:
        return msgspec.json.decode(raw, type=kind | None)
    except (ValueError, RecursionError):
        return None


def _used(response: realtime.Response) -> Usage:
    usage: realtime.ResponseUsage | None = _read(response.usage, realtime.ResponseUsage)
    if usage is None or usage.input_token_details is None:
        # One that failed before it began costs nothing, and has no count.
        return Usage(responses=1, uncounted=0 if response.status == "failed" else 1)
    heard = usage.input_token_details
    cached = heard.cached_tokens_details or realtime.TextTokens()
    spoken = usage.output_token_details or realtime.TextTokens()
    return Usage(
        input_text=heard.text_tokens or 0,
        input_audio=heard.audio_tokens or 0,
        cached_text=cached.text_tokens or 0,
        cached_audio=cached.audio_tokens or 0,
        output_text=spoken.text_tokens or 0,
        output_audio=spoken.audio_tokens or 0,
        responses=1,
        cache_unknown=int(heard.cached_tokens_details is None and heard.cached_tokens != 0),
    )


def _transcribed(told: msgspec.Raw) -> Usage:
    usage: realtime.TranscriptionUsage | None = _read(told, realtime.TranscriptionUsage)
    if usage is None:
        return Usage()
    return Usage(
        transcribed_input=usage.input_tokens or 0,
        transcribed_output=usage.output_tokens or 0,
        transcribed_ms=round((usage.seconds or 0) * 1000),
    )
