"""The state of a conversation, and the questions that the rest of the bridge asks about it."""

from statistics import median

from media_bridge.audio.codecs import MODEL_BYTES_PER_MS, Codec
from media_bridge.commands import BridgeCommand, CreateResponse, SendToolOutput
from media_bridge.conversation.after_playback import TIMEOUT_SECONDS, AfterPlayback
from media_bridge.conversation.barge_in import BargeIn
from media_bridge.conversation.clip_player import ClipPlayer
from media_bridge.conversation.dtmf import DtmfCollector
from media_bridge.conversation.history import History
from media_bridge.conversation.pending_reply import PendingReply
from media_bridge.conversation.response_queue import Purpose, Request
from media_bridge.speech.agent_audio import AgentAudio
from media_bridge.speech.clips import SpeechClips
from media_bridge.speech.playout import Playout
from media_bridge.speech.response_latency import ResponseTimer
from media_bridge.speech.transcript import Transcript
from phonebridge.call.config import CallConfig
from phonebridge.call.resume import Resume
from phonebridge.call.usage import Activity, Usage
from phonebridge.settings import ModelAudio

NO_CLIPS = SpeechClips()


class Talk:
    """The state of both sides. `Conversation` adds the handling of events."""

    def __init__(
        self, config: CallConfig, model_audio: ModelAudio, clips: SpeechClips = NO_CLIPS
    ) -> None:
        self.config = config
        self._transcript = Transcript()
        self._playout = Playout(Codec[config.codec], MODEL_BYTES_PER_MS[model_audio])
        self.agent_audio = AgentAudio(self._playout, model_audio, self._transcript)
        self.reply = PendingReply(
            self.agent_audio, ClipPlayer(self.agent_audio, self._playout, clips)
        )
        self._response_queue = self.reply.queue
        self._dtmf = DtmfCollector()
        self._barge_in = BargeIn(config.barge_in_min_ms / 1000)
        self._after_playback = AfterPlayback()
        self._wait: ResponseTimer | None = None
        self._started = 0.0
        self._first_audio_ms: int | None = None
        self.speech_began_at: float | None = None
        """When the caller began to speak. None while the caller is silent."""
        self._speech_ended_at = 0.0
        self._speech_item = ""
        self.caller_is_muted = False
        self.last_spoken_response: str | None = None
        self.is_running_tools = False
        """True while the caller waits for a tool's output."""
        self.is_transferring = False
        """True while the caller waits for somebody else, who is being rung."""
        self.last_sign_of_caller_at: float | None = None
        self.ignores_caller = False
        self.usage = Usage()

    def begin(self, now: float) -> None:
        """Begin. Turns and latencies count from the start of the media stream."""
        self._started = self._transcript.stream_started = now
        self._barge_in.begin(now)
        self.reply.begin(now)

    @property
    def last_sign_of_model_at(self) -> float:
        """When the server last reported the end of speech, or something of a response."""
        return max(self._speech_ended_at, self.reply.last_sign_at)

    @property
    def caller_is_speaking(self) -> bool:
        return self.speech_began_at is not None

    @property
    def turns(self) -> Transcript:
        return self._transcript

    @property
    def generating(self) -> str | None:
        """The response that is being generated."""
        return self._response_queue.active

    @property
    def stream_started(self) -> float:
        return self._started

    @property
    def is_quiet(self) -> bool:
        """Whether everything that was requested has been played."""
        return self._response_queue.is_idle and not self._playout.is_speaking

    @property
    def is_silent(self) -> bool:
        """Whether the agent says nothing now. It may have something to say later."""
        return not (self._response_queue.is_generating or self._playout.is_speaking)

    @property
    def agent_is_speaking(self) -> bool:
        """Whether the caller still has something to hear."""
        return self._playout.is_speaking

    @property
    def is_thinking(self) -> bool:
        """Whether something is being generated or was requested, or a tool runs."""
        return self.is_running_tools or not self._response_queue.is_idle

    @property
    def waits_for_caller(self) -> bool:
        """Whether it is the caller's turn: no side speaks or is about to speak."""
        owed = self.is_running_tools or self.is_transferring or self.reply.is_over
        expected = owed or self._dtmf.entered or self._after_playback
        muted = self._response_queue.muted or self.caller_is_muted
        busy = self.ignores_caller or self.caller_is_speaking or muted
        waits = self.is_quiet and not busy and not expected
        return waits and self._response_queue.has_session

    @property
    def has_spoken(self) -> bool:
        return self._first_audio_ms is not None

    def request_response(
        self, request: CreateResponse, purpose: Purpose, now: float
    ) -> list[BridgeCommand]:
        """Let the model speak as soon as possible. If the caller is ignored, only requests with
        their own words are accepted."""
        if self.ignores_caller and not request.has_words:
            return []
        return self.reply.request(Request(request, purpose), now)

    def after_playback(
        self, command: BridgeCommand, now: float, timeout_seconds: float = TIMEOUT_SECONDS
    ) -> None:
        """Execute the command when everything that was requested until now has been played."""
        self._after_playback.plan(command, now + timeout_seconds)

    def withdraw(self, command: BridgeCommand) -> bool:
        """Forget a command of `after_playback`. Return whether it was planned."""
        return self._after_playback.withdraw(command)

    def send_tool_output(self, call_id: str, output: str) -> BridgeCommand:
        """Return the command that sends the output of a tool call."""
        self._response_queue.pending_tool_outputs.add(call_id)
        return SendToolOutput(call_id, output)

    def on_tool_output_added(self, call_id: str) -> None:
        """Note that responses from now on know the output."""
        self._response_queue.pending_tool_outputs.discard(call_id)

    def take_over(self, history: History) -> None:
        """Continue from the state in which the earlier stream left the call."""
        self._response_queue.muted = history.resume.is_muted
        self.caller_is_muted = history.resume.is_caller_muted
        self.reply.take_over(history)

    @property
    def resume(self) -> Resume:
        """The state that another task needs to continue from here."""
        return Resume(
            cut_off_words=self.reply.cut_off_words,
            is_reply_owed=self.reply.is_owed,
            is_muted=self._response_queue.muted,
            is_caller_muted=self.caller_is_muted,
        )

    def elapsed_ms(self, now: float) -> int:
        return round((now - self._started) * 1000)

    def activity(self, frames_in: int, frames_lost: int) -> Activity:
        latencies = self._transcript.latencies_ms
        return Activity(
            turns=self._transcript.count,
            interruptions=self.agent_audio.interruptions,
            frames_in=frames_in,
            frames_out=self._playout.chunks_sent,
            frames_lost=frames_lost,
            first_audio_ms=self._first_audio_ms,
            turn_latency_ms=round(median(latencies)) if latencies else None,
        )

    def next_deadline(self) -> float:
        return min(
            self.reply.deadline,
            self._after_playback.due_at(),
            self._dtmf.complete_at,
            self._barge_in.counts_at,
            self._playout.next_deadline(),
        )

    def mute_caller(self, muted: bool) -> None:
        """Note that the model does not hear the caller, who is not idle then."""
        self.caller_is_muted = muted

    def configure(self, config: CallConfig) -> None:
        """Note the settings that are in force."""
        self.config = config

    def run_tools(self, is_running: bool) -> None:
        """Note whether the caller waits for something that the agent looks up."""
        self.is_running_tools = is_running

    def on_transfer_failed(self) -> None:
        self.is_transferring = False
