"""Genuine events of a model's server, as samples and as answers to what it is sent (OpenAI API
reference, "Realtime server events"). Pure."""

import base64
import json
from collections.abc import Iterator
from random import Random
from typing import Any

SOUND = base64.b64encode(b"\x11\x96" * 400).decode()
USAGE = {
    "total_tokens": 90,
    "input_tokens": 60,
    "output_tokens": 30,
    "input_token_details": {
        "text_tokens": 20,
        "audio_tokens": 40,
        "cached_tokens": 10,
        "cached_tokens_details": {"text_tokens": 5, "audio_tokens": 5},
    },
    "output_token_details": {"text_tokens": 10, "audio_tokens": 20},
}
ARGUMENTS = (
    '{"day":"2030-01-31"}',
    '{"destination":"office","summary":"A caller asks for a table."}',
    '{"digits":"1w2#"}',
    '{"message":"Please call back.","name":"Ann","phone":"+15550123"}',
    '{"reason":"done"}',
    "{}",
    "",
    "[1]",
    '{"a":"\\ud83d"}',
)
TOOLS = ("book", "transfer_call", "send_dtmf", "take_message", "end_call", "unknown")
CLOSE_CODES = (1000, 1001, 1005, 1006, 1008, 1011, 1012, 1013, 3000, 4000, 4004, 4999, 0, 65_535)


def event(kind: str, **fields: Any) -> bytes:
    return json.dumps({"type": kind, "event_id": "event-1"} | fields).encode()


class GenuineModel:
    """A server that follows the protocol. It numbers its items and responses."""

    def __init__(self, chance: Random) -> None:
        self._chance = chance
        self._number = 0

    def greets(self) -> list[bytes]:
        return [event("session.created", session={"type": "realtime", "id": "sess-1"})]

    def answers(self, request: bytes) -> list[bytes]:
        sent = json.loads(request)
        match sent["type"]:
            case "session.update":
                return [event("session.updated", session=sent["session"])]
            case "response.create":
                return list(self.response(sent.get("response", {}).get("metadata")))
            case "conversation.item.create":
                item = sent["item"] | {"id": self._name("item")}
                return [event(f"conversation.item.{word}", item=item) for word in ("added", "done")]
            case "input_audio_buffer.commit":
                return [event("input_audio_buffer.committed", item_id=self._name("item"))]
            case "conversation.item.truncate":
                return [event("conversation.item.truncated", item_id=sent["item_id"])]
            case "response.cancel":
                response = {"id": sent["response_id"], "status": "cancelled"}
                return [event("response.done", response=response)]
            case _:
                return []

    def hears_caller(self) -> Iterator[bytes]:
        item_id = self._name("item")
        kind = "input_audio_buffer"
        yield event(f"{kind}.speech_started", item_id=item_id, audio_start_ms=1_200)
        yield event(f"{kind}.speech_stopped", item_id=item_id, audio_end_ms=2_900)
        yield event(f"{kind}.committed", item_id=item_id, previous_item_id=None)
        kind = "conversation.item.input_audio_transcription"
        yield event(f"{kind}.delta", item_id=item_id, content_index=0, delta="When do you ")
        usage = {"type": "tokens", "input_tokens": 30, "output_tokens": 9, "seconds": 1.7}
        yield event(
            f"{kind}.completed",
            item_id=item_id,
            content_index=0,
            transcript="When do you open?",
            usage=usage,
        )
        yield event(f"{kind}.failed", item_id=self._name("item"), error={"code": "audio_unclear"})
        yield from self.response(None)

    def response(self, metadata: object) -> Iterator[bytes]:
        response_id, item_id = self._name("resp"), self._name("item")
        shown = {"id": response_id, "status": "in_progress", "conversation_id": "conv-1"}
        yield event("response.created", response=shown | {"metadata": metadata})
        item = self._item(item_id)
        place = {"response_id": response_id, "item_id": item_id, "content_index": 0}
        yield event("response.output_item.added", response_id=response_id, item=item)
        if item["type"] == "message":
            yield from _speech(place)
        elif item["type"] == "function_call":
            kind = "response.function_call_arguments.done"
            called = {name: item[name] for name in ("call_id", "name", "arguments")}
            yield event(kind, response_id=response_id, item_id=item_id, **called)
        else:
            yield event("response.mcp_call.in_progress", item_id=item_id)
            yield event(
                f"response.mcp_call.{self._chance.choice(('completed', 'failed'))}", **place
            )
        yield event("response.output_item.done", response_id=response_id, item=item)
        yield self._done(shown, item)

    def _done(self, shown: dict[str, Any], item: dict[str, Any]) -> bytes:
        status = self._chance.choice(("completed", "completed", "incomplete", "failed"))
        error = {"type": "server_error", "code": "rate_limit_exceeded", "message": "try in 1.2s"}
        details = {"type": status, "reason": "max_output_tokens", "error": error}
        ended = {"status": status, "status_details": details, "usage": USAGE, "output": [item]}
        return event("response.done", response=shown | ended)

    def _item(self, item_id: str) -> dict[str, Any]:
        match self._chance.randrange(8):
            case 0 | 1:
                return {
                    "id": item_id,
                    "type": "function_call",
                    "status": "completed",
                    "call_id": self._name("call"),
                    "name": self._chance.choice(TOOLS),
                    "arguments": self._chance.choice(ARGUMENTS),
                }
            case 2:
                kind = self._chance.choice(("mcp_call", "mcp_approval_request", "mcp_list_tools"))
                return {
                    "id": item_id,
                    "type": kind,
                    "name": "search",
                    "server_label": "shop",
                    "arguments": "{}",
                    "output": None,
                    "error": None,
                }
            case _:
                content = [{"type": "output_audio", "transcript": "We open at nine."}]
                return {"id": item_id, "type": "message", "role": "assistant", "content": content}

    def unexpected(self) -> bytes:
        error = {"type": "invalid_request_error", "code": "x", "message": "m", "event_id": "e-1"}
        kinds = (
            event("error", error=error),
            event("error", error={"type": "server_error", "code": "session_expired"}),
            event("mcp_list_tools.failed", item_id="item-1"),
            event("rate_limits.updated", rate_limits=[]),
            event("session.updated", session={"type": "realtime"}),
            event("response.done", response={"id": "resp-0", "status": "completed"}),
        )
        return self._chance.choice(kinds)

    def _name(self, kind: str) -> str:
        self._number += 1
        return f"{kind}-{self._number}"


def _speech(place: dict[str, Any]) -> Iterator[bytes]:
    yield event("response.output_audio_transcript.delta", **place, delta="We open ")
    for _ in range(3):
        yield event("response.output_audio.delta", **place, delta=SOUND)
    yield event("response.output_audio_transcript.delta", **place, delta="at nine.")
    yield event("response.output_audio.done", **place)
    yield event("response.output_audio_transcript.done", **place, transcript="We open at nine.")


def samples() -> tuple[bytes, ...]:
    """One of each event, whatever the chance."""
    model = GenuineModel(Random(1))
    spoken = [each for _ in range(20) for each in (*model.hears_caller(), model.unexpected())]
    by_kind = {json.loads(each)["type"]: each for each in (*model.greets(), *spoken)}
    update = event("session.updated", session={"type": "realtime", "audio": {"output": {}}})
    return (*by_kind.values(), update)
