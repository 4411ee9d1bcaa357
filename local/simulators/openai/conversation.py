"""The items of a conversation: their order, how much audio each has sent, and their tokens."""

import asyncio
import math
from dataclasses import dataclass, field
from typing import NamedTuple

from simulators.audio.speech import Recognition
from simulators.openai.audio import Utterance
from simulators.openai.requests import Refusal
from simulators.openai.wire import (
    CachedTokens,
    Content,
    ConversationMessage,
    FunctionCall,
    FunctionCallOutput,
    InputTokenDetails,
    Item,
    OutputTokenDetails,
    RealtimeUsage,
)

# One token per 100 ms of caller audio and per 50 ms of agent audio (OpenAI, "Managing costs").
CALLER_TOKEN_MS = 100
AGENT_TOKEN_MS = 50
CHARACTERS_PER_TOKEN = 4
CACHE_BLOCK_TOKENS = 64


class Truncation(NamedTuple):
    item_id: str
    audio_end_ms: int
    sent_ms: float


@dataclass(slots=True, eq=False)
class Entry:
    item: Item
    is_agent_audio: bool = False
    audio_ms: float = 0.0
    utterance: Utterance | None = None
    recognition: asyncio.Future[Recognition] | None = None

    @property
    def is_caller_turn(self) -> bool:
        item = self.item
        return isinstance(item, FunctionCallOutput) or (
            isinstance(item, ConversationMessage) and item.role == "user"
        )

    @property
    def text_tokens(self) -> int:
        return text_tokens(text_of_item(self.item))

    @property
    def audio_tokens(self) -> int:
        token_ms = AGENT_TOKEN_MS if self.is_agent_audio else CALLER_TOKEN_MS
        return math.ceil(self.audio_ms / token_ms)


def text_tokens(text: str) -> int:
    return math.ceil(len(text) / CHARACTERS_PER_TOKEN)


def text_of_item(item: Item) -> str:
    match item:
        case FunctionCall():
            return item.name + item.arguments
        case FunctionCallOutput():
            return item.output
        case ConversationMessage():
            return " ".join(map(text_of, item.content))


def text_of(part: Content) -> str:
    return part.text or part.transcript or ""


@dataclass(slots=True)
class ModelConversation:
    id: str
    entries: list[Entry] = field(default_factory=list)
    _cached: tuple[int, int] = (0, 0)

    def find(self, item_id: str) -> Entry | None:
        return next((entry for entry in self.entries if entry.item.id == item_id), None)

    def calls(self, call_id: str) -> bool:
        items = (entry.item for entry in self.entries)
        return any(isinstance(each, FunctionCall) and each.call_id == call_id for each in items)

    @property
    def has_agent_audio(self) -> bool:
        return any(entry.is_agent_audio for entry in self.entries)

    @property
    def last_caller_turn(self) -> Entry | None:
        return next((entry for entry in reversed(self.entries) if entry.is_caller_turn), None)

    def add(self, entry: Entry, previous_item_id: str | None = None) -> str | None:
        """Insert an item, by default at the end. Return the id of the item before it."""
        if self.find(entry.item.id):
            message = f"Error adding item: an item with id '{entry.item.id}' already exists."
            raise Refusal("item_create_duplicate_item_id", message, "item.id")
        self.entries.insert(self._position_after(previous_item_id), entry)
        return self.id_before(entry)

    def id_before(self, entry: Entry) -> str | None:
        position = self.entries.index(entry)
        return self.entries[position - 1].item.id if position else None

    def _position_after(self, previous_item_id: str | None) -> int:
        if previous_item_id is None:
            return len(self.entries)
        if previous_item_id == "root":
            return 0
        return self.entries.index(self._get(previous_item_id, "create", "previous_item_id")) + 1

    def _get(self, item_id: str, action: str, param: str = "item_id") -> Entry:
        entry = self.find(item_id)
        if entry is None:
            message = f"Item with item_id '{item_id}' not found."
            raise Refusal(f"item_{action}_invalid_item_id", message, param)
        return entry

    def get(self, item_id: str) -> Entry:
        return self._get(item_id, "retrieve")

    def remove(self, item_id: str) -> None:
        self.entries.remove(self._get(item_id, "delete"))

    def truncate(self, item_id: str, content_index: int, audio_end_ms: int) -> Truncation:
        """Cut the audio to the played part, and delete the whole transcript."""
        entry = self._get(item_id, "truncate")
        item = entry.item
        if (
            not isinstance(item, ConversationMessage)
            or not entry.is_agent_audio
            or content_index != 0
        ):
            message = "Only model output audio messages can be truncated."
            raise Refusal("invalid_value", message, "item_id")
        if audio_end_ms > entry.audio_ms:
            message = (
                f"Audio content of {int(entry.audio_ms)}ms is already shorter than {audio_end_ms}ms"
            )
            raise Refusal("invalid_value", message, "audio_end_ms")
        truncation = Truncation(item_id, audio_end_ms, entry.audio_ms)
        item.content = [Content("output_audio")]
        entry.audio_ms = audio_end_ms
        return truncation

    def usage(self, instructions: str, before: list[Entry], output: list[Entry]) -> RealtimeUsage:
        """Return the usage of one response. Everything before it is input, and what was input of an
        earlier response is cached."""
        text = text_tokens(instructions) + sum(entry.text_tokens for entry in before)
        audio = sum(entry.audio_tokens for entry in before)
        cached_text, cached_audio = (
            min(now, was) // CACHE_BLOCK_TOKENS * CACHE_BLOCK_TOKENS
            for now, was in zip((text, audio), self._cached, strict=True)
        )
        self._cached = text, audio
        spoken = OutputTokenDetails(
            sum(entry.text_tokens for entry in output), sum(entry.audio_tokens for entry in output)
        )
        input_details = InputTokenDetails(
            text, audio, cached_text + cached_audio, CachedTokens(cached_text, cached_audio)
        )
        input_tokens, output_tokens = text + audio, spoken.text_tokens + spoken.audio_tokens
        return RealtimeUsage(
            input_tokens + output_tokens, input_tokens, output_tokens, input_details, spoken
        )
