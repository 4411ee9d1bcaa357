"""One response of the simulated model, from response.created to response.done."""

import asyncio
import base64
import itertools
from collections.abc import Callable, Iterator
from dataclasses import dataclass

from simulators.audio.speech import Clip
from simulators.openai.agent import Part, Speech
from simulators.openai.audio import bytes_per_ms, encode
from simulators.openai.conversation import AGENT_TOKEN_MS, Entry, ModelConversation
from simulators.openai.requests import ResponseRequest
from simulators.openai.settings import ActiveSettings, AudioFormat, CustomVoiceSettings
from simulators.openai.wire import (
    ArgumentsDelta,
    ArgumentsDone,
    AudioDelta,
    AudioDone,
    AudioTranscriptDelta,
    AudioTranscriptDone,
    Content,
    ContentPartAdded,
    ContentPartDone,
    ConversationMessage,
    FunctionCall,
    ItemAddedEvent,
    ItemDoneEvent,
    OutputItemAddedEvent,
    OutputItemDoneEvent,
    RealtimeResponse,
    ResponseAudio,
    ResponseAudioOutput,
    ResponseContentPart,
    ResponseCreatedEvent,
    ResponseDoneEvent,
    ResponseError,
    ServerEvent,
    Status,
    StatusDetails,
    TextDelta,
    TextDone,
    new_id,
    padding,
)
from simulators.scenario import ToolCall

# Sizes of deltas are undocumented. These are odd on purpose, and no multiple of 20 ms in any
# format.
DELTA_8KHZ_SAMPLES = (401, 1201, 797, 613)
ARGUMENTS_DELTA_CHARACTERS = 9


@dataclass(frozen=True, slots=True)
class Said:
    item_id: str
    clip: Clip
    sent_ms: float
    completed: bool


@dataclass(slots=True)
class _Progress:
    """The item that is being produced."""

    index: int
    entry: Entry
    place: tuple[str, str, int, int]
    """The ids and indexes that every event of its content has."""
    clip: Clip | None = None
    words_sent: int = 0


class ResponseRun:
    def __init__(
        self,
        request: ResponseRequest,
        settings: ActiveSettings,
        conversation: ModelConversation,
        emit: Callable[[ServerEvent], None],
    ) -> None:
        self.request = request
        self.said: list[Said] = []
        self._conversation = conversation
        self.in_conversation = request.conversation != "none"
        self._instructions = request.instructions or str(settings.settings.instructions)
        self._context = conversation if request.input is None else ModelConversation("none")
        self._before = list(self._context.entries)
        self._output: list[Entry] = []
        self._current: _Progress | None = None
        self._unended: _Progress | None = None
        self._emit = emit
        self.wire = _to_response(
            request, settings, conversation.id if self.in_conversation else None
        )

    @property
    def id(self) -> str:
        return self.wire.id

    @property
    def active(self) -> bool:
        return self.wire.status == "in_progress"

    @property
    def audio_ms(self) -> float:
        return sum(said.sent_ms for said in self.said)

    def start(self) -> None:
        self._emit(ResponseCreatedEvent(self.wire))

    async def perform(
        self, parts: tuple[Part, ...], burst: float, half_way: Callable[[], None]
    ) -> None:
        for index, part in enumerate(parts):
            if isinstance(part, ToolCall):
                self._call(index, part)
            elif self.wire.output_modalities == ["audio"]:
                await self._speak(index, part, burst, half_way if index == 0 else _go_on)
            else:
                self._write(index, part)
            if not self.active:
                return
        self._end_commentary()
        self.finish("completed")

    def cancel(self, reason: str) -> None:
        self._abandon_current()
        self.finish("cancelled", StatusDetails("cancelled", reason))

    def cut(self, reason: str) -> None:
        self._abandon_current()
        self.finish("incomplete", StatusDetails("incomplete", reason))

    def fail(self, error: ResponseError) -> None:
        self.finish("failed", StatusDetails("failed", error=error))

    def finish(self, status: Status, details: StatusDetails | None = None) -> None:
        self.wire.status, self.wire.status_details = status, details
        self.wire.output = [entry.item for entry in self._output]
        self.wire.usage = self._context.usage(self._instructions, self._before, self._output)
        self._emit(ResponseDoneEvent(self.wire))

    def _abandon_current(self) -> None:
        """Drop the current item. The real server may or may not send the *.done of an open part;
        this one does not."""
        current = self._current
        self._end_commentary()
        self._current = None
        if current is None:
            return
        current.entry.item.status = "incomplete"
        if current.clip:
            sent_words = " ".join(current.clip.text.split()[: current.words_sent])
            _message(current.entry).content = [Content("output_audio", transcript=sent_words)]
            self._note_said(current, completed=False)

    def _note_said(self, progress: _Progress, *, completed: bool) -> None:
        if progress.clip:
            entry = progress.entry
            self.said.append(Said(entry.item.id, progress.clip, entry.audio_ms, completed))

    def _open(self, index: int, entry: Entry, clip: Clip | None = None) -> _Progress:
        place = (self.id, entry.item.id, index, 0)
        self._current = progress = _Progress(index, entry, place, clip)
        self._output.append(entry)
        self._emit(OutputItemAddedEvent(self.id, index, entry.item))
        if self.in_conversation:
            self._emit(ItemAddedEvent(self._conversation.add(entry), entry.item))
        return progress

    def _close(self, progress: _Progress) -> None:
        item = progress.entry.item
        item.status = "completed"
        if self.in_conversation:
            self._emit(ItemDoneEvent(self._conversation.id_before(progress.entry), item))
        self._emit(OutputItemDoneEvent(self.id, progress.index, item))
        self._note_said(progress, completed=True)
        if self._current is progress:
            self._current = None

    async def _speak(
        self, index: int, speech: Speech, burst: float, half_way: Callable[[], None]
    ) -> None:
        progress = self._open(
            index, Entry(_message_of_speech(speech), is_agent_audio=True), speech.clip
        )
        self._emit(ContentPartAdded(*progress.place, ResponseContentPart("audio", transcript="")))
        if not await self._send_audio(progress, burst, half_way):
            return
        if speech.phase == "commentary":
            # Seen with reasoning models: the *.done events come after the next item's first delta.
            self._unended = progress
        else:
            self._end_speech(progress)

    def _end_speech(self, progress: _Progress) -> None:
        assert progress.clip
        place, text = progress.place, progress.clip.text
        self._emit(AudioDone(*place))
        self._emit(AudioTranscriptDone(*place, text))
        self._emit(ContentPartDone(*place, ResponseContentPart("audio", transcript=text)))
        _message(progress.entry).content = [Content("output_audio", transcript=text)]
        self._close(progress)

    def _end_commentary(self) -> None:
        if self._unended:
            self._end_speech(self._unended)
            self._unended = None

    async def _send_audio(
        self, progress: _Progress, burst: float, half_way: Callable[[], None]
    ) -> bool:
        """Send audio faster than real time by the burst factor. Return False if the response was
        cut off."""
        assert progress.clip
        audio_format = self.wire.audio.output.format
        audio = encode(audio_format, progress.clip)
        began = asyncio.get_running_loop().time()
        middle = len(audio) / 2
        for begin, end in _delta_ranges(len(audio), audio_format):
            if begin <= middle < end:
                half_way()
            if not self.active:
                return False
            self._send_words(progress, end / len(audio))
            progress.entry.audio_ms = end / bytes_per_ms(audio_format)
            self._emit(AudioDelta(*progress.place, base64.b64encode(audio[begin:end]).decode()))
            self._end_commentary()
            if self.audio_ms + progress.entry.audio_ms > self._allowed_ms:
                self.cut("max_output_tokens")
                return False
            due = began + progress.entry.audio_ms / 1000 / burst
            await asyncio.sleep(max(0.0, due - asyncio.get_running_loop().time()))
        return True

    @property
    def _allowed_ms(self) -> float:
        limit = self.wire.max_output_tokens
        return limit * AGENT_TOKEN_MS if isinstance(limit, int) else float("inf")

    def _send_words(self, progress: _Progress, share: float) -> None:
        """Send as large a share of the transcript as of the audio."""
        assert progress.clip
        words = progress.clip.text.split()
        for number in range(progress.words_sent, round(share * len(words))):
            word = words[number] if number == 0 else f" {words[number]}"
            self._emit(AudioTranscriptDelta(*progress.place, word, padding()))
            progress.words_sent = number + 1

    def _write(self, index: int, speech: Speech) -> None:
        progress = self._open(index, Entry(_message_of_speech(speech)))
        place = progress.place
        self._emit(ContentPartAdded(*place, ResponseContentPart("text", text="")))
        for number, word in enumerate(speech.clip.text.split()):
            self._emit(TextDelta(*place, word if number == 0 else f" {word}", padding()))
        self._emit(TextDone(*place, speech.clip.text))
        self._emit(ContentPartDone(*place, ResponseContentPart("text", text=speech.clip.text)))
        _message(progress.entry).content = [Content("output_text", text=speech.clip.text)]
        self._close(progress)

    def _call(self, index: int, call: ToolCall) -> None:
        call_id = new_id("call")
        item = FunctionCall(
            id=new_id("item"), status="in_progress", name=call.name, arguments="", call_id=call_id
        )
        progress = self._open(index, Entry(item))
        for begin in range(0, len(call.arguments), ARGUMENTS_DELTA_CHARACTERS):
            piece = call.arguments[begin : begin + ARGUMENTS_DELTA_CHARACTERS]
            self._emit(ArgumentsDelta(self.id, item.id, index, call_id, piece, padding()))
        item.arguments = call.arguments
        self._emit(ArgumentsDone(self.id, item.id, index, call_id, call.name, call.arguments))
        self._close(progress)


def _to_response(
    request: ResponseRequest, settings: ActiveSettings, conversation_id: str | None
) -> RealtimeResponse:
    session = settings.settings
    output = request.audio.output if request.audio else None
    voice = output.voice if output and output.voice else settings.voice
    return RealtimeResponse(
        id=new_id("resp"),
        conversation_id=conversation_id,
        output_modalities=request.output_modalities or session.output_modalities or ["audio"],
        max_output_tokens=request.max_output_tokens or session.max_output_tokens or "inf",
        audio=ResponseAudio(
            ResponseAudioOutput(
                output.format if output and output.format else settings.output_format,
                voice.id if isinstance(voice, CustomVoiceSettings) else voice,
            )
        ),
        metadata=request.metadata,
    )


def _message_of_speech(speech: Speech) -> ConversationMessage:
    message = ConversationMessage(
        id=new_id("item"), status="in_progress", role="assistant", content=[]
    )
    if speech.phase:
        message.phase = speech.phase
    return message


def _message(entry: Entry) -> ConversationMessage:
    assert isinstance(entry.item, ConversationMessage)
    return entry.item


def _delta_ranges(size: int, audio_format: AudioFormat) -> Iterator[tuple[int, int]]:
    begin, bytes_per_8khz_sample = 0, bytes_per_ms(audio_format) // 8
    for samples in itertools.cycle(DELTA_8KHZ_SAMPLES):
        end = min(size, begin + samples * bytes_per_8khz_sample)
        if begin == end:
            return
        yield begin, end
        begin = end


def _go_on() -> None:
    """Continue a response whose settings are complete."""
