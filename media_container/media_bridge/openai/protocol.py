"""Translates between the bridge and the Realtime API: commands to client events, and server events
to the bridge's events. It does no I/O; `client.py` has the socket."""

from collections.abc import Callable

from media_bridge import commands, events
from media_bridge.audio.codecs import Codec
from media_bridge.commands import ModelCommand
from media_bridge.openai import realtime, responses, session, tools, transcripts
from media_bridge.openai.retry_delay import retry_delay
from media_bridge.openai.tolerant import Text
from media_bridge.openai.updates import PendingUpdates, ProposedUpdate
from media_bridge.scrubbing import scrub
from phonebridge.call.config import CallConfig
from phonebridge.call.steering import Update
from phonebridge.call.tools import Tools
from phonebridge.settings import MediaSettings, SessionAck

_SessionEvent = (
    realtime.SessionCreated
    | realtime.SessionUpdated
    | realtime.ResponseCreated
    | realtime.ResponseDone
    | realtime.ServerError
    | transcripts.TranscriptEvent
    | tools.ToolEvent
)

CONFIGURE = "configure"
"""Names the first `session.update`."""
CLIP = "phonebridge_clip"
"""Key of the metadata of a response that records a clip."""


class RealtimeProtocol:
    """Translates one session. It remembers the requested settings, to compare them with those that
    the server confirms."""

    def __init__(self, config: CallConfig, settings: MediaSettings, model: str) -> None:
        self._config = config
        self._settings = settings
        self._model = model
        self._requested: realtime.Session | None = None
        self._spoken = self._line = Codec[config.codec]
        self._updates = PendingUpdates()
        self._is_confirmed = False
        self._response_id = ""
        """The latest response. Events without a response id belong to it."""
        self._responses = 0
        self._repaired: set[str] = set()
        self.on_repair: Callable[[str, list[str]], None] = lambda *_: None

    def encode(self, command: ModelCommand) -> bytes:
        if isinstance(command, commands.AppendAudio):  # a `case` takes twice as long
            return realtime.encode_append(command.audio)
        match command:
            case commands.ConfigureModel(line):
                return realtime.encode(realtime.SessionUpdate(self._configure(line), CONFIGURE))
            case commands.UpdateSession(update):
                return realtime.encode(self._propose(update))
            case commands.CreateResponse() | commands.RecordClip():
                return realtime.encode(self._response(command))
            case commands.AddMessage(role, text):
                item = realtime.message(role, text)
                return realtime.encode(realtime.ItemCreate(item, command.event_id))
            case commands.AddToolCall(call_id, name, arguments):
                call = tools.FunctionCallItem(call_id, name, arguments)
                return realtime.encode(realtime.ItemCreate(call, command.event_id))
            case commands.SendToolOutput(call_id, output):
                answer = tools.FunctionOutputItem(call_id, output)
                return realtime.encode(realtime.ItemCreate(answer, command.event_id))
            case commands.DenyApproval(request_id):
                refusal = tools.refusal(request_id)
                return realtime.encode(realtime.ItemCreate(refusal, command.event_id))
            case commands.CommitAudio() | commands.CancelResponse() | commands.TruncateItem():
                return realtime.encode(_plain(command))

    def _response(
        self, request: commands.CreateResponse | commands.RecordClip
    ) -> realtime.ResponseCreate:
        if isinstance(request, commands.RecordClip):
            return self._out_of_band(request)
        words_only = bool(request.exact_text) or not request.allow_tools
        choice = "none" if words_only and self._config.tools != Tools() else None
        settings = realtime.ResponseSettings(
            session.response_instructions(self._config, request), choice
        )
        empty = settings == realtime.ResponseSettings()
        return realtime.ResponseCreate(None if empty else settings, request.event_id or None)

    def _out_of_band(self, request: commands.RecordClip) -> realtime.ResponseCreate:
        """Return the request for a clip. It leaves out the conversation, which would cost tokens
        and could change the words."""
        settings = realtime.ResponseSettings(
            request.instructions,
            tool_choice=None if self._config.tools == Tools() else "none",
            conversation="none",
            input=(),
            metadata={CLIP: request.kind},
        )
        return realtime.ResponseCreate(settings, request.event_id)

    def decode(self, text: Text) -> events.ModelEvent | None:
        """Return None for events that the bridge does not need."""
        try:
            event = realtime.decode(text)
        except realtime.MalformedEvent:
            return self._decode_repaired(text)
        return self._to_event(event)

    def _to_event(
        self, event: realtime.ServerEvent | realtime.UnknownEvent
    ) -> events.ModelEvent | None:
        if isinstance(event, realtime.UnknownEvent):
            return _to_progress_event(event) if event.is_of_response else None
        return self._to_documented_event(event) or _to_progress_event(event)

    def _decode_repaired(self, text: Text) -> events.ModelEvent | None:
        try:
            event, absent = realtime.repair(text)
        except realtime.MalformedEvent as error:
            return events.MalformedEventReceived(scrub(error.event_type), scrub(str(error)))
        if isinstance(event, realtime.UnknownEvent):
            return self._to_event(event)
        kind = str(event.__struct_config__.tag)
        if kind not in self._repaired:
            self._repaired.add(kind)
            self.on_repair(kind, absent)
        return self._to_event(event)

    def implied_event(self, command: ModelCommand) -> events.ModelEvent | None:
        if self._settings.openai_session_ack is not SessionAck.ASSUMED:
            return None
        if isinstance(command, commands.UpdateSession) and (proposed := self._updates.take()):
            return self._check_update(proposed, proposed.session)
        if not isinstance(command, commands.ConfigureModel):
            return None
        self._is_confirmed = True
        return events.ModelReady()

    def _configure(self, line: Codec) -> realtime.Session:
        self._line = line
        self._requested = self._session(self._config)
        return self._requested

    def _session(self, config: CallConfig) -> realtime.Session:
        audio = self._settings.model_audio
        given = session.SessionContext(self._model, audio, self._line, self._spoken)
        return session.session_settings(config, given)

    def _propose(self, update: Update) -> realtime.SessionUpdate:
        after = update.apply_to(self._config)
        return self._updates.propose(
            update, session.changes_between(self._session(self._config), self._session(after))
        )

    def _to_documented_event(self, event: realtime.ServerEvent) -> events.ModelEvent | None:
        match event:
            case realtime.OutputAudioDelta(delta, of, item_id, index):
                response_id = of or self._response_id
                return events.AudioReceived(response_id, item_id or response_id, index, delta)
            case transcripts.OutputAudioTranscriptDelta():
                return transcripts.to_event(event, self._response_id)
            case realtime.OutputAudioDone(of, item_id):
                return events.AudioFinished(item_id or of or self._response_id)
            case realtime.SpeechStarted(item_id, audio_start_ms):
                return events.CallerSpeechStarted(item_id, self._speech_start_ms(audio_start_ms))
            case realtime.SpeechStopped(item_id, audio_end_ms):
                return events.CallerSpeechStopped(item_id, self._speech_end_ms(audio_end_ms))
            case _:
                return self._to_session_event(event)

    def _speech_start_ms(self, audio_start_ms: float | None) -> float | None:
        detector = self._config.turn_detection
        padding_ms = detector.prefix_padding_ms if detector.type == "server_vad" else 0
        return None if audio_start_ms is None else audio_start_ms + padding_ms

    def _speech_end_ms(self, audio_end_ms: float | None) -> float | None:
        detector = self._config.turn_detection
        silence_ms = detector.silence_duration_ms if detector.type == "server_vad" else 0
        return None if audio_end_ms is None else audio_end_ms - silence_ms

    def _to_session_event(self, event: _SessionEvent) -> events.ModelEvent | None:
        match event:
            case realtime.SessionCreated():
                return events.ModelConnected()
            case realtime.SessionUpdated(in_force):
                return self._check_session(in_force)
            case realtime.ResponseCreated(response):
                return self._to_response_started(response)
            case realtime.ResponseDone(response):
                return responses.to_response_ended(response, response.id or self._response_id)
            case realtime.ServerError(error):
                return self._to_refusal(error) or _to_error_event(error)
            case _:
                return self._of_item(event)

    def _to_refusal(self, error: realtime.ErrorDetail) -> events.ModelEvent | None:
        """Return None for an error that is about something else than an update."""
        refused = self._updates.reject(error)
        if refused is None:
            return None
        if not refused.update.changes:
            return events.SettingsUpdated(self._config, ())  # the server is there
        return events.SettingsRefused(scrub(f"{error.code}: {error.param or error.message}"))

    def _to_response_started(self, response: realtime.Response) -> events.ResponseStarted:
        self._responses += 1
        response_id = response.id or f"unnamed-{self._responses}"
        if CLIP.encode() not in bytes(response.metadata):
            self._response_id = response_id
            return events.ResponseStarted(response_id)
        metadata: dict[str, str] = responses.read_raw(response.metadata, dict[str, str]) or {}
        clip = metadata.get(CLIP)
        joins = clip is None or responses.read_raw(response.conversation_id, str) is not None
        if joins:
            self._response_id = response_id
        return events.ResponseStarted(response_id, clip, is_in_conversation=joins)

    def _of_item(
        self, event: transcripts.TranscriptEvent | tools.ToolEvent
    ) -> events.ModelEvent | None:
        if isinstance(event, transcripts.TranscriptEvent):
            return transcripts.to_event(event, self._response_id)
        return tools.to_event(event, self._response_id)

    def _check_session(self, in_force: realtime.Session) -> events.ModelEvent | None:
        if self._requested is None:
            return None
        if proposed := self._updates.take():
            return self._check_update(proposed, in_force)
        if difference := session.mismatch(self._requested, in_force):
            refused = events.SettingsDiffer if self._is_confirmed else events.ModelRefused
            return refused(difference)
        self._is_confirmed = True
        return events.ModelReady()

    def _check_update(
        self, proposed: ProposedUpdate, in_force: realtime.Session
    ) -> events.ModelEvent:
        if difference := session.mismatch(proposed.session, in_force):
            return events.SettingsRefused(difference)
        self._config = proposed.update.apply_to(self._config)
        self._requested = self._session(self._config)
        return events.SettingsUpdated(self._config, tuple(proposed.update.changes))


def _plain(
    command: commands.CommitAudio | commands.CancelResponse | commands.TruncateItem,
) -> realtime.ClientEvent:
    match command:
        case commands.CommitAudio():
            return realtime.AudioCommit(command.event_id)
        case commands.CancelResponse(response_id):
            return realtime.ResponseCancel(response_id, command.event_id)
        case commands.TruncateItem(item_id, content_index, audio_end_ms):
            return realtime.ItemTruncate(item_id, content_index, audio_end_ms, command.event_id)


def _to_error_event(error: realtime.ErrorDetail) -> events.ModelEvent:
    message = scrub(error.message or "")
    code = scrub(error.code or error.type or "error")
    if error.event_id == CONFIGURE:
        # The update is lost whole, and the model would go on with a default persona.
        return events.ModelRefused(f"{code}: {message}")
    delay = retry_delay(error.message, error.retry_after, error.retry_after_ms)
    return events.ModelErrorReceived(code, message, error.event_id, delay)


def _to_progress_event(
    event: realtime.ServerEvent | realtime.UnknownEvent,
) -> events.ModelEvent | None:
    """Translate an event that says only that the model is at work on a response."""
    match event:
        case realtime.UnknownEvent(response_id=response_id):
            return events.ResponseProgressed(response_id if isinstance(response_id, str) else None)
        case tools.OutputItemAdded() | tools.OutputItemDone() | tools.FunctionCallArgumentsDone():
            return events.ResponseProgressed(event.response_id or None)
        case _:
            return None
