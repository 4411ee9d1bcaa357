"""Remembers what a new session of the model needs to continue the call.

The memory sees the events and the commands of the bridge. When the session is lost, it builds the
history for the next one. It also provides what another task needs, beyond the turns on record, to
continue the call on a new media stream.
"""

from dataclasses import replace

from media_bridge import events, tool_events
from media_bridge.commands import (
    AddMessage,
    BridgeCommand,
    RecordTurn,
    RestoreHistory,
    ReviseTurn,
    Role,
    SaveResume,
    SendToolOutput,
    UpdateSession,
)
from media_bridge.conversation.history import (
    MAX_TURNS,
    History,
    Note,
    call_items,
    history_of,
    limit_size,
)
from phonebridge.call.resume import PastToolCall, Resume
from phonebridge.call.steering import Update
from phonebridge.call.turn import Turn

REMEMBERED_EVENTS = frozenset(
    {
        tool_events.FunctionCalled,
        events.ResponseEnded,
        events.SettingsUpdated,
        events.SettingsRefused,
    }
)
"""The memory ignores all other events."""
MAX_TOOL_CALLS = 40
MAX_NOTES = 40


class CallMemory:
    def __init__(self, history: History | None, stream_number: int) -> None:
        earlier = history or History()
        self._earlier_turns = earlier.turns
        self._turns_before = earlier.turn_count
        self._stream_number = max(stream_number, 1)
        self._turns: dict[int, Turn] = {}
        self._calls = {call.call_id: call for call in earlier.resume.tool_calls}
        self._notes: list[Note] = []
        self._updates: list[Update] = []
        self._calls_of_lost_session: set[str] = set()
        self._saved = earlier.resume
        self._looked_at: Resume | None = None
        self._has_new_calls = False

    def on_event(self, event: events.ControlEvent, turn_count: int) -> None:
        match event:
            case tool_events.FunctionCalled():
                self._remember_call(event, turn_count)
            case events.ResponseEnded():
                for call in event.calls:
                    if isinstance(call, tool_events.FunctionCalled):
                        self._remember_call(call, turn_count)
            case events.SettingsUpdated(changed=()):
                pass  # nothing was to change
            case events.SettingsUpdated() | events.SettingsRefused() if self._updates:
                self._updates.pop(0)

    def on_command(self, command: BridgeCommand, turn_count: int) -> None:
        match command:
            case RecordTurn(turn) | ReviseTurn(turn):
                self._turns[turn.number] = turn.on_stream(self._stream_number)
                if len(self._turns) > MAX_TURNS:
                    del self._turns[min(self._turns)]
            case AddMessage(role) if role is not Role.ASSISTANT:
                self._notes.append(Note(self._turns_before + turn_count, command))
                del self._notes[:-MAX_NOTES]
            case SendToolOutput(call_id, output) if call_id in self._calls:
                self._calls[call_id] = replace(self._calls[call_id], output=output)
                self._has_new_calls = True
            case UpdateSession(update) if update.changes:
                self._updates.append(update)

    def lose_session(self) -> None:
        """Forget the missing outputs. They belong to calls that the next session has not made."""
        missing = (call.call_id for call in self._calls.values() if call.output is None)
        self._calls_of_lost_session.update(missing)

    def restore(self, cut_off_words: str, language: str | None) -> list[BridgeCommand]:
        """Give the new session the history, and the updates that the lost one did not confirm."""
        resume = Resume(tuple(self._calls.values()), cut_off_words)
        turns = (*self._earlier_turns, *self._turns.values())
        items = history_of(turns, resume, self._notes, language).items
        updates, self._updates = self._updates, []
        history = [RestoreHistory(items)] if items else []
        return [*history, *(UpdateSession(update) for update in updates)]

    def with_call(self, command: BridgeCommand) -> list[BridgeCommand]:
        """Return the command. An output becomes a call and its output if the session does not know
        the call."""
        if not isinstance(command, SendToolOutput):
            return [command]
        if command.call_id not in self._calls_of_lost_session:
            return [command]
        self._calls_of_lost_session.discard(command.call_id)
        return [*call_items(self._calls[command.call_id])]

    def save(self, now: Resume) -> list[BridgeCommand]:
        """Store what another task would need, if it has changed. Usually the turns show whether a
        reply is owed. So a change of that alone is stored only to withdraw it."""
        was_owed = self._saved.is_reply_owed and not now.is_reply_owed
        if now == self._looked_at and not self._has_new_calls and not was_owed:
            return []
        self._looked_at, self._has_new_calls = now, False
        resume = limit_size(replace(now, tool_calls=tuple(self._calls.values())))
        saved = self._saved
        owed = resume.is_reply_owed or not saved.is_reply_owed
        if owed and replace(resume, is_reply_owed=saved.is_reply_owed) == saved:
            return []
        self._saved = resume
        return [SaveResume(resume)]

    def _remember_call(self, call: tool_events.FunctionCalled, turn_count: int) -> None:
        if call.call_id in self._calls:
            return
        position = self._turns_before + turn_count
        past = PastToolCall(call.call_id, call.name, call.arguments, None, position)
        self._calls[call.call_id] = past
        self._has_new_calls = True
        if len(self._calls) > MAX_TOOL_CALLS:
            del self._calls[next(iter(self._calls))]
