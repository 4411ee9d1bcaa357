"""Builds the conversation that a new session of the model starts with.

The session gets the turns as texts. A reply that was cut off is limited to the words that were
played. Tool calls keep their place and have their outputs, so that the model does not repeat them.
One system message at the end instructs the model to continue.
"""

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass, replace

import msgspec

from media_bridge.commands import AddMessage, AddToolCall, Role, SendToolOutput
from phonebridge.call.resume import PastToolCall, Resume
from phonebridge.call.turn import Speaker, Turn

MAX_TURNS = 40
MAX_CALL_ID_LENGTH = 32
"""A longer `call_id` of a `function_call` item is refused (OpenAI, "Realtime client events",
`conversation.item.create`)."""
MAX_RESUME_CHARACTERS = 6_000
"""The stored item has at most 8 KB. This leaves room for its other fields and for escapes."""
MAX_STORED_OUTPUT_CHARACTERS = 2_000
MAX_QUOTED_WORDS = 12

RENEWED = (
    "The line to you was renewed in the middle of this phone call. Above is what was said. "
    "{language} Do not greet, introduce yourself, or mention the interruption. "
    "Do not call a tool again whose result stands above."
)
NO_RESULT = (
    " No result is known yet of {names}. Do not call it again unless the caller agrees to that."
)
WORDS_LOST = " The caller's last words were lost. Ask the caller to say them again."

HistoryItem = AddMessage | AddToolCall | SendToolOutput


@dataclass(frozen=True, slots=True)
class Note:
    """A message that the model received in addition to what was said."""

    after_turn: int
    message: AddMessage


@dataclass(frozen=True, slots=True)
class History:
    items: tuple[HistoryItem, ...] = ()
    cut_off_words: str = ""
    is_reply_owed: bool = False
    turns: tuple[Turn, ...] = ()
    resume: Resume = Resume()

    @property
    def turn_count(self) -> int:
        """The position of the last turn, counted over all streams of the call."""
        positions = _positions(self.turns)
        return positions[-1][0] if positions else 0


def history_of(
    turns: Sequence[Turn],
    resume: Resume,
    notes: Sequence[Note] = (),
    language: str | None = None,
) -> History:
    """Order the turns, tool calls and notes of a call, and add the message to go on."""
    placed = _positions(turns)[-MAX_TURNS:]
    spoken = [(position, turn) for position, turn in placed if turn.text]
    entries: list[tuple[int, int, tuple[HistoryItem, ...]]] = [
        (position, 0, (_message_of(turn),)) for position, turn in spoken
    ]
    entries += [(each.after_turn, 1, call_items(each)) for each in resume.tool_calls if each.output]
    entries += [(note.after_turn, 2, (note.message,)) for note in notes]
    entries.sort(key=lambda entry: entry[:2])
    items = tuple(item for _, _, group in entries for item in group)
    is_owed = resume.is_reply_owed or _is_answer_missing(placed, resume)
    if items:
        items = (*items, AddMessage(Role.SYSTEM, _go_on(placed, resume, language)))
    return History(items, resume.cut_off_words, is_owed, tuple(turns), resume)


def call_items(call: PastToolCall) -> tuple[AddToolCall, SendToolOutput]:
    """Return the items of a call and its output, for a session that does not know the call."""
    call_id = short_call_id(call.call_id)
    return (
        AddToolCall(call_id, call.name, _json_object(call.arguments)),
        SendToolOutput(call_id, call.output or ""),
    )


def short_call_id(call_id: str) -> str:
    if len(call_id) <= MAX_CALL_ID_LENGTH:
        return call_id
    digest = hashlib.sha256(call_id.encode()).hexdigest()
    return f"call_{digest}"[:MAX_CALL_ID_LENGTH]


def finish_sentence(spoken_words: str) -> str:
    """Return the instruction to finish a reply that was cut off."""
    words = " ".join(spoken_words.split()[-MAX_QUOTED_WORDS:])
    return f'Your last sentence was heard up to "{words}". Finish it in one short sentence.'


def limit_size(resume: Resume) -> Resume:
    """Keep as many of the latest tool calls as the stored item has room for."""
    kept: list[PastToolCall] = []
    room = MAX_RESUME_CHARACTERS - len(resume.cut_off_words)
    for call in reversed(resume.tool_calls):
        output = call.output and call.output[:MAX_STORED_OUTPUT_CHARACTERS]
        room -= len(call.call_id) + len(call.name) + len(call.arguments) + len(output or "")
        if room < 0:
            break
        kept.append(replace(call, output=output))
    return replace(resume, tool_calls=tuple(reversed(kept)))


def _positions(turns: Sequence[Turn]) -> list[tuple[int, Turn]]:
    """Return the positions of the turns through all streams. Each stream numbers its own turns from
    1 on."""
    placed: list[tuple[int, Turn]] = []
    stream, before = 0, 0
    for turn in sorted(turns, key=lambda each: (each.stream_number, each.number)):
        if turn.stream_number != stream:
            stream, before = turn.stream_number, placed[-1][0] if placed else 0
        placed.append((before + turn.number, turn))
    return placed


def _message_of(turn: Turn) -> AddMessage:
    return AddMessage(Role.ASSISTANT if turn.who is Speaker.AGENT else Role.USER, turn.text)


def _is_answer_missing(placed: Sequence[tuple[int, Turn]], resume: Resume) -> bool:
    """Return whether a reply is missing: the caller spoke last, or the agent called a tool and has
    not spoken since."""
    if not placed:
        return bool(resume.tool_calls)
    position, turn = placed[-1]
    return turn.who is Speaker.CALLER or any(
        call.after_turn >= position and call.output for call in resume.tool_calls
    )


def _go_on(placed: Sequence[tuple[int, Turn]], resume: Resume, language: str | None) -> str:
    spoken = f'Continue in the language "{language}".' if language else "Continue in its language."
    text = RENEWED.format(language=spoken)
    if names := [call.name for call in resume.tool_calls if call.output is None]:
        text += NO_RESULT.format(names=", ".join(names))
    if placed and placed[-1][1].who is Speaker.CALLER and not placed[-1][1].text:
        text += WORDS_LOST
    if resume.cut_off_words:
        text += f" {finish_sentence(resume.cut_off_words)}"
    return text


def _json_object(arguments: str) -> str:
    """Return the arguments if they are a JSON object, or an empty object. The server refuses
    anything else."""
    try:
        msgspec.json.decode(arguments, type=dict[str, msgspec.Raw])
    except (ValueError, RecursionError):
        return "{}"
    return arguments
