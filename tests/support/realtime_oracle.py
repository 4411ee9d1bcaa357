"""Checks Realtime frames of either direction with the types of the official SDK.

The SDK's union accepts unknown fields, so every frame is validated strictly and without extra
fields.
"""

from typing import Annotated, Any

from openai.types.realtime import RealtimeClientEvent, RealtimeServerEvent
from openai.types.realtime.realtime_session_create_response import RealtimeSessionCreateResponse
from pydantic import Field, TypeAdapter

Frame = dict[str, Any]

SERVER_EVENT: TypeAdapter[Any] = TypeAdapter(
    Annotated[RealtimeServerEvent, Field(discriminator="type")]
)
CLIENT_EVENT: TypeAdapter[Any] = TypeAdapter(
    Annotated[RealtimeClientEvent, Field(discriminator="type")]
)
SESSION: TypeAdapter[Any] = TypeAdapter(RealtimeSessionCreateResponse)


def check_server(frame: Frame) -> None:
    if frame["type"] in ("session.created", "session.updated"):
        # The union types this session as the client's request, which has no id or expires_at.
        SESSION.validate_python(frame["session"], strict=True, extra="forbid")
        SERVER_EVENT.validate_python(frame)
    else:
        SERVER_EVENT.validate_python(_published(frame), strict=True, extra="forbid")


def check_client(frame: Frame) -> None:
    CLIENT_EVENT.validate_python(frame, strict=True, extra="forbid")


def _published(frame: Frame) -> Frame:
    """Remove `obfuscation` and an item's `phase`, which are on the wire but not in the SDK's
    types."""
    return {
        name: {k: v for k, v in value.items() if k != "phase"} if name == "item" else value
        for name, value in frame.items()
        if name != "obfuscation"
    }
