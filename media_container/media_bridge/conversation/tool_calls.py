"""Executes the tool calls of the model, and lets the model speak about the results.

The calls of a response are executed when it has ended well. A response that was cut may have been
cut because the caller objected. Each output goes to the model at once. When the last output of a
response is there, the model is asked once to speak. `end_call` and `transfer_call` wait until the
words that announce them have been played.

Every function call gets exactly one output, because the model waits for it. A call that is not
executed is answered with the reason.
"""

import msgspec

from media_bridge import events, tool_events
from media_bridge.commands import (
    AddMessage,
    AddTimelineEntry,
    BridgeCommand,
    CreateResponse,
    DenyApproval,
    EndCall,
    RecordMessage,
    Role,
    RunFunction,
    SendDtmf,
)
from media_bridge.conversation import mcp
from media_bridge.conversation.builtin_tools import DigitsArguments, MessageArguments, transfer_of
from media_bridge.conversation.conversation import Conversation
from media_bridge.conversation.mcp import McpServers
from media_bridge.conversation.response_queue import Purpose
from media_bridge.conversation.tool_batch import (
    FinalAction,
    OpenCall,
    ToolBatch,
    ToolRefused,
    error_output,
    read_arguments,
)
from media_bridge.deadline import NEVER
from phonebridge.call.call import EndedBy
from phonebridge.call.tools import BuiltIn, HttpsFunction, Message, Tools

FILLER_SECONDS = 1.5
"""How long the caller waits in silence before the filler is said."""
MAX_OPEN_CALLS = 8
"""Maximum number of functions that run at the same time."""
MAX_CONSECUTIVE_TOOL_RESPONSES = 16
"""Maximum number of successive responses that may call tools while the caller says nothing. Without
a limit, a model in a loop would go on until the call's time limit."""
MAX_NAME_LENGTH = 64

HANG_UP = EndCall(EndedBy.AGENT)
GOODBYE = CreateResponse(
    instructions="Say goodbye to the caller now, in one short sentence.", allow_tools=False
)
DROPPED = "dropped, its response was cut"
UNDER_WAY = "under way when its response was cut"
CALLER_CAME_FIRST = "Not done: the caller spoke, or the agent was interrupted."
CUT_OFF = "Not done: the call was cut off before its arguments were complete."
HANG_UP_CANCELLED = "The caller spoke before you hung up, so the call goes on."


class ToolCalls:
    def __init__(self, tools: Tools, conversation: Conversation) -> None:
        self._conversation = conversation
        self.offer(tools)
        self._announced: dict[str, list[tool_events.ToolCall]] = {}
        self._known: set[str] = set()
        self._unanswered: set[str] = set()
        """Function calls that the model has no output for."""
        self._mcp = McpServers()
        self._ended: str | None = None
        self._batches: list[ToolBatch] = []
        self._messages = 0
        self._in_a_row = 0

    def offer(self, tools: Tools) -> None:
        """Let the model call these tools from now on."""
        self._tools = tools
        self._functions = {function.name: function for function in tools.functions}

    def next_deadline(self) -> float:
        if not self._batches:
            return NEVER
        return min(batch.due_at for batch in self._batches)

    def due(self, now: float) -> list[BridgeCommand]:
        """Say a filler to a caller who has waited long, unless somebody speaks."""
        commands = self._give_up(now) if self._batches else []
        for batch in self._batches:
            if now < batch.filler_due:
                continue
            if not self._may_say_filler():
                batch.filler_due = now + FILLER_SECONDS
                continue
            batch.filler_due = NEVER
            commands += self._conversation.request_response(
                CreateResponse(exact_text=batch.filler), Purpose.FILLER, now
            )
        return commands

    def _may_say_filler(self) -> bool:
        caller_is_busy = self._conversation.caller_is_speaking or self._conversation.ignores_caller
        has_session = self._conversation.reply.queue.has_session
        return self._conversation.is_quiet and has_session and not caller_is_busy

    def _give_up(self, now: float) -> list[BridgeCommand]:
        calls = [call for batch in self._batches for call in batch.open.items()]
        late = [each for each, call in calls if call.given_up <= now]
        return [command for each in late for command in self._complete(each, False, now)]

    def handle(self, event: tool_events.ToolEvent, now: float) -> list[BridgeCommand]:
        match event:
            case (
                tool_events.FunctionCalled()
                | tool_events.McpCalled()
                | tool_events.ApprovalRequested()
            ):
                self._announce(event)
                late = event.response_id == self._ended
                commands = self._run_batch(event.response_id, now) if late else []
                if isinstance(event, tool_events.McpCalled) and event.ok is not None:
                    commands += self._complete(event.item_id, event.ok, now)
                return commands
            case tool_events.OutputAdded(call_id):
                self._conversation.on_tool_output_added(call_id)
                return []
            case tool_events.McpReturned(item_id, ok):
                return [*self._mcp.on_event(event), *self._complete(item_id, ok, now)]
            case tool_events.McpListing() | tool_events.McpUnavailable():
                return self._mcp.on_event(event)
            case tool_events.FunctionReturned(call_id, output, ok):
                return [*self._answer(call_id, output), *self._complete(call_id, ok, now)]

    def _on_response_ended(self, event: events.ResponseEnded, now: float) -> list[BridgeCommand]:
        for call in event.calls:
            self._announce(call)
        if event.status == "completed":
            self._ended = event.response_id
            return self._run_batch(event.response_id, now)
        dropped = self._announced.pop(event.response_id, [])
        return [command for call in dropped for command in self._drop(call, event)]

    def on_event(self, event: events.ConversationEvent, now: float) -> list[BridgeCommand]:
        """Handle the caller's speech and the ends of responses."""
        match event:
            case events.CallerSpeechStarted():
                self._in_a_row = 0
                return self.on_caller_speech()
            case events.ResponseEnded():
                return self._on_response_ended(event, now)
            case _:
                return []

    def on_caller_speech(self) -> list[BridgeCommand]:
        """Cancel a planned hangup, because the caller has something to say."""
        return [AddMessage(Role.SYSTEM, HANG_UP_CANCELLED)] if self.cancel_hangup() else []

    def cancel_hangup(self) -> bool:
        """Cancel a planned hangup. Return whether there was one."""
        for batch in self._batches:
            if batch.final_action and batch.final_action.command == HANG_UP:
                batch.has_failed = True
        return self._conversation.withdraw(HANG_UP)

    def lose_session(self, now: float) -> list[BridgeCommand]:
        """Keep running functions, whose outputs go to the next session. Calls that only the lost
        session knew are over: those of a response that had not ended, and those of MCP servers."""
        self._announced.clear()
        self._ended = None
        open_calls = [call_id for batch in self._batches for call_id in batch.open]
        of_server = [call_id for call_id in open_calls if call_id not in self._unanswered]
        return [each for call_id in of_server for each in self._complete(call_id, False, now)]

    def close(self) -> list[BridgeCommand]:
        """Note which calls were open when the phone call ended."""
        calls = [call for batch in self._batches for call in batch.open.values()]
        self._batches.clear()
        return [_note(call.name, "the call ended first") for call in calls]

    def _announce(self, call: tool_events.ToolCall) -> None:
        if isinstance(call, tool_events.McpCalled) and call.ok is not None:
            self._mcp.on_event(tool_events.McpReturned(call.item_id, call.ok))
        known_as = call.call_id if isinstance(call, tool_events.FunctionCalled) else call.item_id
        if known_as not in self._known:
            self._known.add(known_as)
            if isinstance(call, tool_events.FunctionCalled):
                self._unanswered.add(known_as)
            self._announced.setdefault(call.response_id, []).append(call)

    def _run_batch(self, response_id: str, now: float) -> list[BridgeCommand]:
        calls = self._announced.pop(response_id, [])
        if not calls:
            return []
        batch = ToolBatch(has_spoken=self._conversation.last_spoken_response == response_id)
        self._batches.append(batch)
        self._in_a_row += 1
        self._conversation.run_tools(True)
        commands = [command for call in calls for command in self._begin(call, batch, now)]
        if batch.filler:
            batch.filler_due = now + FILLER_SECONDS
        return commands + self._conclude(batch, now)

    def _drop(self, call: tool_events.ToolCall, ended: events.ResponseEnded) -> list[BridgeCommand]:
        """Answer a call of a response that was cut. An MCP server may have carried it out by
        then."""
        match call:
            case tool_events.McpCalled():
                return [_note(call.name, self._mcp.outcome(call) or UNDER_WAY)]
            case tool_events.ApprovalRequested():
                return [DenyApproval(call.item_id), _note(call.name, DROPPED)]
            case tool_events.FunctionCalled():
                is_cut = ended.status == "cancelled"
                early = f"Not done: the response ended early ({ended.status}: {ended.detail})."
                answer = self._answer(
                    call.call_id, error_output(CALLER_CAME_FIRST if is_cut else early)
                )
                # no response has to speak of it
                self._conversation.on_tool_output_added(call.call_id)
                return [*answer, _note(call.name, DROPPED)]

    def _begin(
        self, call: tool_events.ToolCall, batch: ToolBatch, now: float
    ) -> list[BridgeCommand]:
        if isinstance(call, tool_events.McpCalled):
            return self._await(call, batch, now)
        if isinstance(call, tool_events.ApprovalRequested):
            batch.has_failed = batch.wants_words = True
            refused = _note(call.name, "refused, it wanted an approval")
            return [DenyApproval(call.item_id), refused]
        try:
            if not call.is_whole:
                raise ToolRefused(CUT_OFF)
            if function := self._functions.get(call.name):
                return self._run(function, call, batch, now)
            if call.name not in self._tools.built_in:
                raise ToolRefused(f"There is no tool {call.name[:MAX_NAME_LENGTH]}.")
            return self._do(BuiltIn(call.name), call, batch, now)
        except ToolRefused as refused:
            batch.has_failed = batch.wants_words = True
            return self._refuse(call, str(refused))

    def _await(
        self, call: tool_events.McpCalled, batch: ToolBatch, now: float
    ) -> list[BridgeCommand]:
        batch.wants_words = True
        if outcome := self._mcp.outcome(call):
            return [_note(call.name, outcome)]
        batch.open[call.item_id] = OpenCall(call.name, now, given_up=now + mcp.TIMEOUT_SECONDS)
        return []

    def _run(
        self,
        function: HttpsFunction,
        call: tool_events.FunctionCalled,
        batch: ToolBatch,
        now: float,
    ) -> list[BridgeCommand]:
        arguments = call.arguments.strip() or "{}"
        read_arguments(arguments, dict[str, msgspec.Raw])
        if sum(len(each.open) for each in self._batches) >= MAX_OPEN_CALLS:
            raise ToolRefused("Too many calls are under way; wait for them.")
        batch.wants_words = True
        batch.open[call.call_id] = OpenCall(call.name, now, function.filler)
        return [RunFunction(call.call_id, function, arguments)]

    def _do(
        self, tool: BuiltIn, call: tool_events.FunctionCalled, batch: ToolBatch, now: float
    ) -> list[BridgeCommand]:
        match tool:
            case BuiltIn.END_CALL:
                if self._conversation.caller_is_speaking:
                    raise ToolRefused("The caller is speaking: hear them out.")
                return batch.finish_with(HANG_UP, call)
            case BuiltIn.TRANSFER_CALL:
                return batch.finish_with(transfer_of(call, self._tools), call)
            case BuiltIn.SEND_DTMF:
                # No words follow: the menu would not hear the model, nor the model the menu.
                digits = read_arguments(call.arguments, DigitsArguments).digits
                return [SendDtmf(digits), *self._confirm(call, "pressed")]
            case BuiltIn.TAKE_MESSAGE:
                batch.wants_words = True
                message = self._message(read_arguments(call.arguments, MessageArguments), now)
                return [RecordMessage(message), *self._confirm(call, "stored")]

    def _message(self, given: MessageArguments, now: float) -> Message:
        self._messages += 1
        return Message(
            number=self._messages,
            text=given.message,
            name=given.name,
            phone=given.phone,
            taken_ms=self._conversation.elapsed_ms(now),
        )

    def _complete(self, call_id: str, ok: bool, now: float) -> list[BridgeCommand]:
        for batch in self._batches:
            if call := batch.open.pop(call_id, None):
                batch.has_failed |= not ok
                took_ms = round((now - call.since) * 1000)
                note = _note(call.name, f"{'ok' if ok else 'failed'} after {took_ms} ms")
                return [note, *self._conclude(batch, now)]
        return []

    def _conclude(self, batch: ToolBatch, now: float) -> list[BridgeCommand]:
        if batch.open:
            return []
        self._batches.remove(batch)
        self._conversation.run_tools(bool(self._batches))
        if batch.final_action:
            return self._finish(batch.final_action, batch, now)
        return self._speak(now) if batch.wants_words else []

    def _finish(self, parting: FinalAction, batch: ToolBatch, now: float) -> list[BridgeCommand]:
        if batch.has_failed:
            why = "Not done: something else went wrong, or the caller spoke. Go on."
            return [*self._refuse(parting.call, why), *self._speak(now)]
        commands = self._confirm(parting.call, "done as soon as the caller has heard you")
        if parting.command == HANG_UP and not batch.has_spoken:
            commands += self._conversation.request_response(GOODBYE, Purpose.GOODBYE, now)
        self._conversation.after_playback(parting.command, now)
        return commands

    def _speak(self, now: float) -> list[BridgeCommand]:
        request = CreateResponse(allow_tools=self._in_a_row < MAX_CONSECUTIVE_TOOL_RESPONSES)
        return self._conversation.request_response(request, Purpose.TOOL_OUTPUT, now)

    def _answer(self, call_id: str, output: str) -> list[BridgeCommand]:
        """Send the output of a call, once."""
        if call_id not in self._unanswered:
            return []
        self._unanswered.discard(call_id)
        return [self._conversation.send_tool_output(call_id, output)]

    def _confirm(self, call: tool_events.FunctionCalled, status: str) -> list[BridgeCommand]:
        output = msgspec.json.encode({"status": status}).decode()
        return [*self._answer(call.call_id, output), _note(call.name, "ok")]

    def _refuse(self, call: tool_events.FunctionCalled, why: str) -> list[BridgeCommand]:
        return [*self._answer(call.call_id, error_output(why)), _note(call.name, "refused")]


def _note(name: str, outcome: str) -> AddTimelineEntry:
    return AddTimelineEntry("tool", f"{name[:MAX_NAME_LENGTH]}: {outcome}")
