"""A conversation as data: who says which clip, when, and who interrupts."""

from collections.abc import Mapping
from dataclasses import dataclass, field


@dataclass(frozen=True, slots=True)
class CallerLine:
    clip: str = ""
    interrupt_after_ms: int | None = None
    """Milliseconds after the agent began to speak, for an interruption. None: the line follows when
    the agent has finished."""
    digits: str = ""
    """Keys that the caller presses instead of speaking."""


@dataclass(frozen=True, slots=True)
class ToolCall:
    name: str
    arguments: str
    preamble: str | None = None
    """Agent clip that is spoken before the call, in the same response."""
    invented: bool = False
    """True if the session does not offer the tool. Models sometimes invent one."""


@dataclass(frozen=True, slots=True)
class Scenario:
    name: str
    greeting: str
    caller: tuple[CallerLine, ...]
    replies: Mapping[str, str]
    """Agent clips by caller clip."""
    fallback: str
    """Agent clip that answers unrecognised audio."""
    tool_calls: Mapping[str, tuple[ToolCall, ...]] = field(default_factory=dict)
    """Tool calls by caller clip, made in one response if the session offers the tools.

    The answer is the agent clip that the output names, otherwise the reply to the caller clip.
    """
    is_scripted: bool = True
    """Whether the model follows the scenario. Otherwise it repeats what it hears
    (`openai/echo.py`)."""


APPOINTMENT = Scenario(
    name="appointment",
    greeting="agent_greeting",
    caller=(
        CallerLine("caller_book"),
        CallerLine("caller_thursday"),
        CallerLine("caller_two_is_fine", interrupt_after_ms=2500),
        CallerLine("caller_what_to_bring"),
        CallerLine("caller_goodbye"),
    ),
    replies={
        "caller_book": "agent_which_day",
        "caller_thursday": "agent_free_times",
        "caller_two_is_fine": "agent_booked",
        "caller_what_to_bring": "agent_what_to_bring",
        "caller_goodbye": "agent_goodbye",
    },
    fallback="agent_fallback",
)

SHORT = Scenario(
    name="short",
    greeting="agent_greeting",
    caller=(CallerLine("caller_opening_hours"), CallerLine("caller_farewell")),
    replies={
        "caller_opening_hours": "agent_opening_hours",
        "caller_farewell": "agent_farewell",
    },
    fallback="agent_fallback",
)

TOOLS = Scenario(
    name="tools",
    greeting=SHORT.greeting,
    caller=SHORT.caller,
    replies=SHORT.replies,
    fallback=SHORT.fallback,
    tool_calls={
        "caller_opening_hours": (
            ToolCall("opening_hours", '{"day":"today"}', "agent_one_moment"),
            ToolCall("take_message", '{"message":"Please call me back."}'),
            ToolCall("transfer_call", '{"destination":"sales","summary":"A new customer."}'),
        ),
        "caller_farewell": (ToolCall("end_call", "{}", "agent_farewell"),),
    },
)

KEYPAD = Scenario(
    name="keypad",
    greeting=SHORT.greeting,
    caller=(CallerLine(digits="12#"), CallerLine("caller_farewell")),
    replies={"caller_farewell": "agent_farewell"},
    fallback=SHORT.fallback,
)

ECHO = Scenario(
    name="echo",
    greeting="",
    caller=(
        CallerLine("caller_book"),
        CallerLine("caller_thursday"),
        CallerLine("caller_what_to_bring"),
        CallerLine("caller_goodbye"),
    ),
    replies={},
    fallback="",
    is_scripted=False,
)

NOT_A_WORD = Scenario(
    name="not a word",
    greeting=SHORT.greeting,
    caller=(),
    replies={},
    fallback=SHORT.fallback,
)

SCENARIOS: Mapping[str, Scenario] = {
    each.name: each for each in (ECHO, APPOINTMENT, SHORT, TOOLS, KEYPAD)
}
