"""What the simulated model says: the scenario's reply to what it recognised."""

import asyncio
from dataclasses import dataclass, replace
from typing import Literal

from simulators.audio.speech import CLIPS, Clip
from simulators.openai.conversation import Entry, text_of
from simulators.openai.wire import ConversationMessage, FunctionCallOutput
from simulators.scenario import Scenario, ToolCall


@dataclass(frozen=True, slots=True)
class Speech:
    clip: Clip
    phase: Literal["commentary", "final_answer"] | None = None


Part = Speech | ToolCall
ONE_MOMENT = "agent_one_moment"


class SimulatedAgent:
    def __init__(self, scenario: Scenario) -> None:
        self._scenario = scenario
        self._question_before_tool = ""

    async def plan(
        self, turn: Entry | None, instructions: str, tool_names: set[str]
    ) -> tuple[Part, ...]:
        """Plan a response. If the instructions give exact words, it says those. Otherwise it
        answers the last turn."""
        if quoted := _clip_quoted_in(instructions):
            return (Speech(quoted),)
        if turn is None:
            return (Speech(CLIPS[self._scenario.greeting]),)
        if isinstance(turn.item, FunctionCallOutput):
            quoted = _clip_quoted_in(turn.item.output)
            return (Speech(quoted),) if quoted else self._answer(self._question_before_tool)
        question = await _understood(turn)
        wanted = self._scenario.tool_calls.get(question, ())
        calls = tuple(call for call in wanted if call.invented or call.name in tool_names)
        if not calls:
            return self._answer(question)
        self._question_before_tool = question
        preambles = tuple(Speech(CLIPS[call.preamble]) for call in calls if call.preamble)
        return (*preambles, *calls)

    def _answer(self, question: str) -> tuple[Part, ...]:
        return (Speech(CLIPS[self._scenario.replies.get(question, self._scenario.fallback)]),)


def with_commentary(plan: tuple[Part, ...]) -> tuple[Part, ...]:
    """Put a preamble before the response as its own item, as reasoning models may do."""
    answers = (
        replace(part, phase="final_answer") if isinstance(part, Speech) else part for part in plan
    )
    return (Speech(CLIPS[ONE_MOMENT], "commentary"), *answers)


async def _understood(turn: Entry) -> str:
    """Return the name of the caller's clip, found in its audio or, for typed turns, by its
    words."""
    if turn.recognition is not None:
        # Shielded because other responses may wait for the same recognition.
        recognition = await asyncio.shield(turn.recognition)
        return recognition.clip.name if recognition.clip else ""
    assert isinstance(turn.item, ConversationMessage)
    typed = " ".join(map(text_of, turn.item.content))
    return next((clip.name for clip in CLIPS.values() if clip.text == typed), "")


def _clip_quoted_in(instructions: str) -> Clip | None:
    return next((clip for clip in CLIPS.values() if clip.text in instructions), None)
