"""The conversation of the caller and the agent: who speaks, who is interrupted, and what each of
them said.

Generation and playback are different things, because a response may be complete long before it has
been played. So the playout decides whether the agent speaks, and truncation informs the model which
audio was not played.
"""

from media_bridge import events, tool_events
from media_bridge.commands import (
    AddMessage,
    AddTimelineEntry,
    BridgeCommand,
    CancelResponse,
    CreateResponse,
    Log,
    RecordTurn,
    Role,
    TransferCall,
    output_event_id,
)
from media_bridge.conversation import dtmf
from media_bridge.conversation.response_queue import Purpose, Request
from media_bridge.conversation.talk import Talk
from media_bridge.speech.playout import ItemPlayed
from media_bridge.speech.response_latency import ResponseTimer
from phonebridge.call.usage import Usage

CANCEL_NOT_ACTIVE = "response_cancel_not_active"
DTMF_TURN_ID = "keypad"
"""Replaces the model's item id in turns of keys."""


_ResponseEvent = (
    events.ResponseStarted | events.AudioFinished | events.ResponseProgressed | events.ResponseEnded
)


class Conversation(Talk):
    """`FailCall` is always the last command of an answer."""

    def on_error(self, error: events.ModelErrorReceived, now: float) -> list[BridgeCommand]:
        """Find the request that the model refused."""
        for call_id in self._response_queue.pending_tool_outputs:
            if error.event_id == output_event_id(call_id):
                self.on_tool_output_added(call_id)
                return [AddTimelineEntry("tool output refused", f"{error.code}: {error.message}")]
        return self.reply.on_error(error, now)

    def refuted_cancel(self, error: events.ModelErrorReceived) -> events.ResponseEnded | None:
        """Return the end of a response that we wanted to cancel, if the error shows that it no
        longer runs. The server answers in order, so its `response.done` would have come before."""
        active = self._response_queue.active
        if active is None or error.code != CANCEL_NOT_ACTIVE:
            return None
        if error.event_id != CancelResponse(active).event_id:
            return None
        return events.ResponseEnded(active, "cancelled", error.code, Usage())

    def on_tool_event(self, event: tool_events.ToolEvent, now: float) -> list[BridgeCommand]:
        """Take note of the response that a tool event belongs to."""
        match event:
            case (
                tool_events.FunctionCalled()
                | tool_events.McpCalled()
                | tool_events.ApprovalRequested()
            ):
                commands = self._on_sign_of(event.response_id, now)
                return commands + self.reply.on_tool_call(event, now)
            case tool_events.McpReturned(item_id):
                self.reply.on_mcp_returned(item_id, now)
        return []

    def due(self, now: float) -> list[BridgeCommand]:
        """Send audio, record completely played turns, and do everything else that is due."""
        played = self._playout.advance(now)
        commands = self._on_played(played, now) if played else []
        if self._barge_in.counts(now):
            commands += self._yield_floor(now)
        if entry := self._dtmf.take(now):
            commands += self._on_entry(entry, now)
        if sending := self._playout.due(now):
            self._on_sending(now)
            commands += sending
        if self._after_playback:
            commands += self._run_after_playback(now)
        return commands

    def _on_played(self, played: list[ItemPlayed], now: float) -> list[BridgeCommand]:
        commands = self.agent_audio.on_played(played)
        if any(each.item.is_broken for each in played):
            turns = [each.turn for each in commands if isinstance(each, RecordTurn)]
            spoken_words = " ".join(turn.text for turn in turns if turn.interrupted)
            commands += self.reply.on_broken_end(spoken_words.strip(), now)
        return commands

    def lose_session(self, now: float) -> list[BridgeCommand]:
        """Continue without a model. The next session gets what was played until then."""
        speaking = self._speech_item if self.caller_is_speaking else None
        is_broken = self.agent_audio.lose_session()
        self.reply.lose_session(is_broken, self.caller_is_speaking, now)
        self.speech_began_at = None
        self._barge_in.speech_stopped(None)
        return [*self._transcript.lose_session(speaking, now)]

    def _run_after_playback(self, now: float) -> list[BridgeCommand]:
        commands = self._after_playback.take(self.is_quiet, now)
        self.is_transferring |= any(isinstance(each, TransferCall) for each in commands)
        return commands

    def _on_sending(self, now: float) -> None:
        """Note that sound of the agent leaves. The caller may have waited for it."""
        if self._first_audio_ms is None:
            self._first_audio_ms = self.elapsed_ms(now)
        if (wait := self._wait) and wait.item_id and self._playout.has_started(wait.item_id):
            self._transcript.agent_answered(wait.item_id, wait.finish(now))
            self._wait = None

    def append_audio(self, event: events.AudioReceived, now: float) -> bool:
        """Take more sound of the item that is playing. Return False if the sound needs `handle`."""
        if event.response_id in self.agent_audio.cancelled or not self.agent_audio.append(event):
            return False
        self.reply.on_more_audio(now)
        return True

    def handle(self, event: events.ConversationEvent, now: float) -> list[BridgeCommand]:
        match event:
            case events.MarkReturned(name):
                self._playout.mark_returned(name, now)
            case events.AudioReceived():
                return self._on_audio(event, now)
            case events.CallerSpeechStarted():
                return self._on_speech_started(event, now)
            case events.CallerSpeechStopped():
                return self._on_speech_stopped(event, now)
            case _ if isinstance(event, events.TranscriptEvent):
                return self._on_transcript(event, now)
            case _:
                return self._on_response(event, now)
        return []

    def _on_response(self, event: _ResponseEvent, now: float) -> list[BridgeCommand]:
        match event:
            case events.TranscriptReceived(response_id):
                self.agent_audio.read(event)
                return self._on_sign_of(response_id, now)
            case events.ResponseStarted(response_id):
                return self._on_response_started(response_id, now)
            case events.AudioFinished(item_id):
                self._playout.finish(item_id)
                return self._on_sign_of(None, now)
            case events.ResponseProgressed(response_id):
                return self._on_sign_of(response_id, now)
            case events.ResponseEnded():
                return [*self.agent_audio.read_last(event), *self._on_response_ended(event, now)]

    def _on_transcript(self, event: events.TranscriptEvent, now: float) -> list[BridgeCommand]:
        match event:
            case events.CallerAudioCommitted(item_id):
                self._transcript.caller_committed(item_id)
            case events.CallerTranscriptReceived(item_id, text, index):
                self._transcript.caller_words(item_id, text, index)
            case events.CallerTranscribed(item_id, text, usage):
                self.usage += usage
                return [*self._transcript.caller_said(item_id, text)]
            case events.TranscriptFinished():
                return [
                    *self.agent_audio.read_whole(event),
                    *self._on_sign_of(event.response_id, now),
                ]
            case events.TranscriptReceived(response_id):
                self.agent_audio.receive_transcript(event)
                return self._on_sign_of(response_id, now)
        return []

    def press(self, digit: str, now: float) -> list[BridgeCommand]:
        """Handle a key of the caller's phone. It stops the agent as speech would."""
        if self.ignores_caller:
            return []
        self._dtmf.press(digit, now)
        self.last_sign_of_caller_at = now
        self._transcript.caller_started(DTMF_TURN_ID, now)
        self._transcript.caller_stopped(DTMF_TURN_ID, now)
        return self.interrupt(now)

    def interrupt(self, now: float) -> list[BridgeCommand]:
        """Stop the agent on request. The model does not notice such an interruption by itself."""
        return self._stop_speaking(now, cancel=True)

    def interrupt_with(
        self, request: CreateResponse, purpose: Purpose, now: float
    ) -> list[BridgeCommand]:
        """Let the model speak at once, whatever it is saying."""
        return [*self.interrupt(now), *self.reply.request_next(Request(request, purpose), now)]

    def mute(self, now: float) -> list[BridgeCommand]:
        """Mute the agent, which goes on listening. Requested words wait."""
        self._response_queue.muted = True
        return self.interrupt(now)

    def unmute(self, now: float) -> list[BridgeCommand]:
        return self.reply.unmute(now)

    def silence(self, now: float) -> list[BridgeCommand]:
        """Ignore the caller and say nothing more, because a machine answered."""
        self.ignores_caller = self.reply.nobody_listens = True
        self.speech_began_at = None
        return [*self.reply.drop_requests("a machine answered"), *self.mute(now)]

    def cut_off_speech(self) -> bool:
        """End the caller's turn, because the call is over. Return whether the caller was
        speaking."""
        was_speaking = self.caller_is_speaking
        self.speech_began_at = None
        return was_speaking

    def close(self, now: float) -> list[BridgeCommand]:
        """End everything that is open at its current position, because the call is over."""
        self._transcript.is_closing = True
        commands = [*self.reply.close(), *self.agent_audio.close(now)]
        if entry := self._dtmf.take_unfinished():
            commands += self._record_entry(entry)
        return [*commands, *self._transcript.close(now)]

    def _on_entry(self, entry: str, now: float) -> list[BridgeCommand]:
        text = AddMessage(Role.USER, dtmf.as_prompt(entry))
        answer = self.request_response(CreateResponse(), Purpose.KEYPAD, now)
        return [*self._record_entry(entry), text, *answer]

    def _record_entry(self, entry: str) -> list[BridgeCommand]:
        text = dtmf.as_transcript(entry, self.config.record_dtmf)
        return [*self._transcript.caller_said(DTMF_TURN_ID, text)]

    def _on_speech_started(
        self, event: events.CallerSpeechStarted, now: float
    ) -> list[BridgeCommand]:
        if self.ignores_caller:
            return []
        self.speech_began_at, self._speech_item = now, event.item_id
        self.last_sign_of_caller_at = now
        self._transcript.caller_started(event.item_id, now)
        guards = not (self.config.turn_detection.interrupt_response or self.is_silent)
        counts = self._barge_in.speech_started(event.started_ms, now, guards)
        return self._yield_floor(now) if counts else []

    def caller_fell_silent(self, why: str, now: float) -> list[BridgeCommand]:
        """Handle the end of speech that the server did not report. The server has no turn to
        answer, so no reply is expected from it. Whatever waited for the caller continues."""
        self.speech_began_at = None
        self._transcript.caller_stopped(self._speech_item, now)
        self._barge_in.speech_stopped(None)
        log = Log("warning", "the end of the caller's speech was not told", why)
        return [log, *self.reply.on_caller_silence(now)]

    def _yield_floor(self, now: float) -> list[BridgeCommand]:
        self.reply.on_caller_speech()
        self._wait = None
        return self._stop_speaking(now, cancel=not self.config.turn_detection.interrupt_response)

    def _on_speech_stopped(
        self, event: events.CallerSpeechStopped, now: float
    ) -> list[BridgeCommand]:
        if self.ignores_caller:
            return []
        self.speech_began_at, self._speech_ended_at = None, now
        wait = ResponseTimer(now, self.config.turn_detection.silence_seconds)
        self._transcript.caller_stopped(event.item_id, wait.last_word_at)
        commands: list[BridgeCommand] = []
        if self._barge_in.speech_stopped(event.ended_ms):
            commands += self._yield_floor(now)
        if self._barge_in.was_interruption or self.is_quiet:
            self._wait = wait
        server_answers = self.config.turn_detection.create_response
        return commands + self.reply.on_caller_stopped(now, server_answers)

    def _on_response_started(self, response_id: str, now: float) -> list[BridgeCommand]:
        self.reply.on_response_started(response_id, now)
        if self._wait:
            self._wait.on_response_started(now)
        if not self._response_queue.muted:
            return []
        self.agent_audio.cancelled.add(response_id)
        self.reply.on_cancelled(now)
        return [CancelResponse(response_id)]

    def _on_sign_of(self, response_id: str | None, now: float) -> list[BridgeCommand]:
        """Note an event of a response. It may be the first one."""
        if self.reply.on_progress(response_id, now):
            return []
        if response_id and self.reply.is_new(response_id):
            return self._on_response_started(response_id, now)
        return []

    def _on_audio(self, event: events.AudioReceived, now: float) -> list[BridgeCommand]:
        commands = self._on_sign_of(event.response_id, now)
        if event.response_id in self.agent_audio.cancelled:
            return commands + self.agent_audio.drop(event)
        if not event.audio:
            return commands
        self.reply.on_speech(event.response_id)
        if self.agent_audio.receive_audio(event, now):
            self.last_spoken_response = event.response_id
            if self._wait:
                self._wait.on_model_audio(event.item_id, now)
        return commands

    def _on_response_ended(self, event: events.ResponseEnded, now: float) -> list[BridgeCommand]:
        self.usage += event.usage
        commands = self._on_sign_of(event.response_id, now)
        is_wanted = event.response_id not in self.agent_audio.cancelled
        is_broken_off = event.status == "stalled" and self.agent_audio.is_within_item(
            event.response_id
        )
        self.agent_audio.finish_response(event.response_id)
        if event.status == "stalled" and is_wanted:
            self.agent_audio.stop_response(event.response_id)
            commands.append(CancelResponse(event.response_id))
        return commands + self.reply.on_response_ended(event, is_wanted, is_broken_off, now)

    def on_late_end(self, event: events.ResponseEnded) -> list[BridgeCommand]:
        """Handle the end of a response after the call. Only its words and its cost matter."""
        self.usage += event.usage
        return self.agent_audio.read_last(event)

    def _stop_speaking(self, now: float, cancel: bool) -> list[BridgeCommand]:
        """Stop the agent's speech. `cancel` is False if the model's server has cancelled the
        response by itself."""
        self.reply.drop_broken()
        cancelled = []
        if (active := self._response_queue.active) and active not in self.agent_audio.cancelled:
            self.agent_audio.cancelled.add(active)
            self.reply.on_cancelled(now)
            cancelled = [CancelResponse(active)] if cancel else []
        return self.agent_audio.stop(now, cancelled)
