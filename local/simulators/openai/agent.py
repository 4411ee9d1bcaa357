"""What the simulated model says: a text it is given, or the scenario's reply to what it hears."""

import asyncio
import re
from dataclasses import dataclass, replace
from typing import Literal, Protocol

from simulators.audio.speech import CLIPS, Clip
from simulators.audio.voice import Voice, synthesize
from simulators.openai.conversation import Entry, ModelConversation, text_of
from simulators.openai.requests import ResponseRequest
from simulators.openai.settings import ActiveSettings
from simulators.openai.wire import ConversationMessage, FunctionCallOutput
from simulators.scenario import Scenario, ToolCall

ONE_MOMENT = "agent_one_moment"
VARIANTS = {
    "alloy": "f3",
    "ash": "m3",
    "ballad": "m1",
    "cedar": "m2",
    "coral": "f2",
    "echo": "m7",
    "marin": "f1",
    "sage": "f4",
    "shimmer": "f5",
    "verse": "m4",
}
"""The variant of espeak-ng for each of OpenAI's voices."""
DEFAULT_VARIANT = VARIANTS["alloy"]
LANGUAGES = {"en": "en-us", "no": "nb", "zh": "cmn"}
"""Languages whose name in espeak-ng differs from ISO 639-1."""
EXACT_TEXT = re.compile(r"\bSay [^:\n]*, and nothing else: *(.+)", re.DOTALL)
SHORT_EXACT_TEXT = re.compile(r'Say(?: exactly)?(?: this)?: *(?:"(.+)"|(.+))', re.DOTALL)
LANGUAGE = re.compile(r'in(?:to)? the language "([A-Za-z-]+)"')


@dataclass(frozen=True, slots=True)
class Speech:
    clip: Clip
    phase: Literal["commentary", "final_answer"] | None = None


Part = Speech | ToolCall


@dataclass(frozen=True, slots=True)
class ResponseContext:
    """Everything that decides what a response says."""

    request: ResponseRequest
    settings: ActiveSettings
    conversation: ModelConversation
    turn: Entry | None
    """The caller's last turn. None if there is none, or if it is not an input of the response."""

    @property
    def exact_text(self) -> str | None:
        """The exact words that the instructions of this response ask for, as in `Say: "Hello."`"""
        if found := EXACT_TEXT.search(self.request.instructions or ""):
            return found[1].strip()
        found = SHORT_EXACT_TEXT.fullmatch(self.guidance)
        return (found[1] or found[2]).strip() if found else None

    @property
    def guidance(self) -> str:
        """The instructions of this response without those of the session."""
        session = self.settings.settings.instructions
        return (self.request.instructions or "").removeprefix(str(session)).strip()

    @property
    def voice(self) -> Voice:
        """A voice in the caller's language."""
        return self._voice(self._language)

    @property
    def english_voice(self) -> Voice:
        """A voice for the simulator's own sentences."""
        return self._voice("en")

    def _voice(self, language: str) -> Voice:
        output = self.request.audio.output if self.request.audio else None
        name = output.voice if output and output.voice else self.settings.voice
        variant = VARIANTS.get(str(name), DEFAULT_VARIANT)
        return Voice(variant, language=LANGUAGES.get(language, language))

    @property
    def _language(self) -> str:
        if named := LANGUAGE.search(self.request.instructions or ""):
            return named[1]
        transcription = self.settings.input.transcription
        return (transcription and transcription.language) or "en"


class ResponsePlanner(Protocol):
    async def plan(self, context: ResponseContext) -> tuple[Part, ...]: ...


class SimulatedAgent:
    """Follows a scenario."""

    def __init__(self, scenario: Scenario) -> None:
        self._scenario = scenario
        self._question_before_tool = ""

    async def plan(self, context: ResponseContext) -> tuple[Part, ...]:
        turn = context.turn
        if quoted := _clip_quoted_in(context.request.instructions or ""):
            return (Speech(quoted),)
        if turn is None:
            return (Speech(CLIPS[self._scenario.greeting]),)
        if isinstance(turn.item, FunctionCallOutput):
            quoted = _clip_quoted_in(turn.item.output)
            return (Speech(quoted),) if quoted else self._answer(self._question_before_tool)
        question = await _understood(turn)
        wanted = self._scenario.tool_calls.get(question, ())
        offered = context.settings.tool_names
        calls = tuple(call for call in wanted if call.invented or call.name in offered)
        if not calls:
            return self._answer(question)
        self._question_before_tool = question
        preambles = tuple(Speech(CLIPS[call.preamble]) for call in calls if call.preamble)
        return (*preambles, *calls)

    def _answer(self, question: str) -> tuple[Part, ...]:
        return (Speech(CLIPS[self._scenario.replies.get(question, self._scenario.fallback)]),)


async def plan(agent: ResponsePlanner, context: ResponseContext) -> tuple[Part, ...]:
    """Plan a response. If the instructions give exact words, every agent says those."""
    if text := context.exact_text:
        return (await speak(text, context.voice),)
    return await agent.plan(context)


async def speak(text: str, voice: Voice) -> Speech:
    """Speak the text with the recorded clip of these words, otherwise with a synthetic voice."""
    if recorded := next((clip for clip in CLIPS.values() if clip.text == text), None):
        return Speech(recorded)
    return Speech(await asyncio.to_thread(synthesize, text, voice))


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
