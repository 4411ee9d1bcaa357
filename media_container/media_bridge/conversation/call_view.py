"""What a browser is shown of its call: states, words as they come, latencies, and tools."""

from collections.abc import Iterable, Iterator

from media_bridge import events, tool_events
from media_bridge.commands import (
    BridgeCommand,
    BrowserCommand,
    CallState,
    EndCall,
    FailCall,
    LeaveStream,
    RecordTurn,
    ReviseTurn,
    SendToolOutput,
    ShowLatency,
    ShowState,
    ShowTool,
    ShowTranscript,
)
from media_bridge.conversation.conversation import Conversation
from phonebridge.call.call import EndedBy
from phonebridge.call.config import BrowserEvent
from phonebridge.call.turn import Latency, Turn


class CallView:
    """`wanted` are the events that the creator of the call selected."""

    def __init__(self, wanted: Iterable[BrowserEvent], stream_number: int) -> None:
        self._wanted = frozenset(wanted)
        self._stream_number = stream_number
        self._state: CallState | None = None
        self._texts: dict[int, str] = {}
        self._measured: set[int] = set()
        self._tools: dict[str, tool_events.FunctionCalled] = {}
        self._end_reason = EndedBy.API.value

    def show(
        self,
        event: events.BridgeEvent,
        commands: list[BridgeCommand],
        conversation: Conversation,
        *,
        is_ready: bool,
    ) -> list[BridgeCommand]:
        """Return the commands, and among them what the browser is shown. Nothing follows the end of
        the stream."""
        shown: list[BridgeCommand] = [each for each in self._show_tools(event)]
        for command in commands:
            shown += self._show_before(command, event)
            shown.append(command)
        if self._state is not CallState.ENDED:
            shown += self._show_words(conversation)
            shown += self._change_state(_state_of(conversation, is_ready=is_ready))
        return shown

    def _show_before(
        self, command: BridgeCommand, event: events.BridgeEvent
    ) -> Iterator[BrowserCommand]:
        match command:
            case RecordTurn(turn) | ReviseTurn(turn):
                yield from self._show_turn(turn)
            case SendToolOutput(call_id, output):
                yield from self._show_output(call_id, output)
            case EndCall(by):
                self._end_reason = by.value
            case FailCall(reason):
                yield from self._change_state(CallState.ENDED, reason)
            # The call goes on with another stream, if this one was lost, or has to give way.
            case LeaveStream(was_lost=False) if not isinstance(event, events.LeaveRequested):
                yield from self._change_state(CallState.ENDED, self._end_reason)

    def _change_state(self, state: CallState, reason: str = "") -> Iterator[BrowserCommand]:
        if state is not self._state is not CallState.ENDED:
            self._state = state
            if BrowserEvent.STATE in self._wanted:
                yield ShowState(state, reason)

    # Words.

    def _show_words(self, conversation: Conversation) -> Iterator[BrowserCommand]:
        for turn in conversation.turns.open_turns():
            yield from self._show_latency(turn.number, turn.latency)
            if turn.text and self._texts.get(turn.number) != turn.text:
                self._texts[turn.number] = turn.text
                if BrowserEvent.TRANSCRIPT in self._wanted:
                    yield ShowTranscript(turn.who, self._item_id(turn.number), turn.text)

    def _show_turn(self, turn: Turn) -> Iterator[BrowserCommand]:
        yield from self._show_latency(turn.number, turn.latency)
        if BrowserEvent.TRANSCRIPT in self._wanted:
            item_id = self._item_id(turn.number)
            yield ShowTranscript(turn.who, item_id, turn.text, True, turn.unheard)

    def _show_latency(self, number: int, latency: Latency | None) -> Iterator[BrowserCommand]:
        if latency and number not in self._measured:
            self._measured.add(number)
            if BrowserEvent.LATENCY in self._wanted:
                yield ShowLatency(latency.total_ms)

    def _item_id(self, number: int) -> str:
        """Each stream numbers its turns from 1."""
        return f"{self._stream_number}-{number}"

    # Tools.

    def _show_tools(self, event: events.BridgeEvent) -> Iterator[BrowserCommand]:
        match event:
            case tool_events.FunctionCalled():
                yield from self._show_call(event)
            case events.ResponseEnded(calls=calls):
                for call in calls:
                    if isinstance(call, tool_events.FunctionCalled):
                        yield from self._show_call(call)

    def _show_call(self, call: tool_events.FunctionCalled) -> Iterator[BrowserCommand]:
        if BrowserEvent.TOOL in self._wanted and call.call_id not in self._tools:
            self._tools[call.call_id] = call
            yield ShowTool(call.call_id, call.name, call.arguments)

    def _show_output(self, call_id: str, output: str) -> Iterator[BrowserCommand]:
        if call := self._tools.get(call_id):
            yield ShowTool(call_id, call.name, call.arguments, output)


def _state_of(conversation: Conversation, *, is_ready: bool) -> CallState:
    if not is_ready:
        return CallState.CONNECTING
    if conversation.agent_is_speaking:
        return CallState.SPEAKING
    is_thinking = conversation.is_thinking and not conversation.caller_is_speaking
    return CallState.THINKING if is_thinking else CallState.LISTENING
