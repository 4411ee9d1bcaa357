"""A simulated model without a script. It repeats what it hears and calls each tool once.

It does not pretend to understand. It only says texts that it was given, the caller's own voice, and
the outputs of tools.
"""

import asyncio
import json

import numpy as np

from simulators.audio.speech import Clip, active_part, resample
from simulators.audio.voice import Voice
from simulators.openai.agent import Part, ResponseContext, Speech, speak
from simulators.openai.conversation import Entry, text_of_item
from simulators.openai.examples import example_of
from simulators.openai.settings import FunctionTool
from simulators.openai.wire import FunctionCall, FunctionCallOutput
from simulators.scenario import ToolCall

INTRODUCTION = (
    "Hello. I am a simulated model. I say the texts that I am given, and I repeat what I hear."
)
HEARD_NOTHING = "I heard nothing."
YOU_SAID = "You said:"
UNKNOWN_WORDS = "[your own voice]"
"""Replaces unknown words in the transcript of what the simulated model repeats."""
MAX_REPEATED_SECONDS = 20
MAX_OUTPUT_CHARACTERS = 300
PAUSE_SECONDS = 0.15
"""The pause after `YOU_SAID`. It is shorter than the silence that ends a turn."""
ENDING_TOOLS = ("transfer_call", "end_call")
"""These tools are called last, because the agent leaves the call with them."""


class EchoAgent:
    async def plan(self, context: ResponseContext) -> tuple[Part, ...]:
        turn, voice = context.turn, context.english_voice
        if context.guidance:
            return (await speak(f"I am asked: {context.guidance}", voice),)
        if turn is None:
            return (await speak(INTRODUCTION, voice),)
        if isinstance(turn.item, FunctionCallOutput):
            return (await speak(_output_of(turn.item, context), voice),)
        return (await _repeat(turn, voice), *_next_call(context))


async def _repeat(turn: Entry, voice: Voice) -> Speech:
    if turn.utterance is None or turn.recognition is None:
        return await speak(f"I received this text: {text_of_item(turn.item)}", voice)
    if not len(turn.utterance.samples):
        return await speak(HEARD_NOTHING, voice)
    recognition = await asyncio.shield(turn.recognition)
    words = recognition.text if recognition.clip else UNKNOWN_WORDS
    intro = (await speak(YOU_SAID, voice)).clip
    rate_hz = turn.utterance.rate_hz
    said = active_part(turn.utterance.samples, rate_hz)[: MAX_REPEATED_SECONDS * rate_hz]
    samples = np.concatenate(
        (
            resample(intro.samples, intro.rate_hz, rate_hz).round().astype(np.int16),
            np.zeros(round(PAUSE_SECONDS * rate_hz), np.int16),
            said,
        )
    )
    return Speech(Clip("", f"{intro.text} {words}", samples, rate_hz))


def _output_of(item: FunctionCallOutput, context: ResponseContext) -> str:
    entries = (entry.item for entry in context.conversation.entries)
    calls = (each for each in entries if isinstance(each, FunctionCall))
    name = next((each.name for each in calls if each.call_id == item.call_id), "The tool")
    return f"{name} answered: {item.output[:MAX_OUTPUT_CHARACTERS]}"


def _next_call(context: ResponseContext) -> tuple[ToolCall, ...]:
    """Return the next tool that was not called in this conversation, if tools may be called."""
    if "none" in (context.request.tool_choice, context.settings.settings.tool_choice):
        return ()
    items = [entry.item for entry in context.conversation.entries]
    called = {item.name for item in items if isinstance(item, FunctionCall)}
    declared = context.settings.settings.tools or ()
    waiting = [
        tool for tool in declared if isinstance(tool, FunctionTool) and tool.name not in called
    ]
    waiting.sort(key=lambda tool: tool.name in ENDING_TOOLS)
    return tuple(
        ToolCall(tool.name, json.dumps(_arguments_of(tool), ensure_ascii=False))
        for tool in waiting[:1]
    )


def _arguments_of(tool: FunctionTool) -> object:
    return example_of({"type": "object"} | (tool.parameters or {}))
