"""Browser calls in responses of the HTTP API."""

from datetime import datetime
from typing import Annotated

from pydantic import Field

from control_plane.api.responses.calls import ResponseModel, to_datetime
from control_plane.browser_calls import MediaTicket


class MediaAccess(ResponseModel):
    """Lets a browser open one media stream of its call."""

    call_id: Annotated[str, Field(description="The id of the call.")]
    media_url: Annotated[
        str,
        Field(
            description="Where to open the WebSocket.",
            examples=["wss://media.example.com/media-bridge/CALL_ID/1"],
        ),
    ]
    media_token: Annotated[
        str,
        Field(description="Goes into the `connected` frame. It opens this stream, once."),
    ]
    expires_at: Annotated[datetime, Field(description="Until when the token must be used.")]


class BrowserCall(MediaAccess):
    """A browser call that has begun, with warnings about its settings."""

    warnings: Annotated[
        list[str], Field(description="What will not work as it was asked for, and why.")
    ]


def media_access(ticket: MediaTicket) -> MediaAccess:
    return MediaAccess(
        call_id=ticket.call_id,
        media_url=ticket.url,
        media_token=ticket.token,
        expires_at=to_datetime(ticket.expires_at_ms),
    )


def browser_call(ticket: MediaTicket, warnings: list[str]) -> BrowserCall:
    return BrowserCall(**dict(media_access(ticket)), warnings=warnings)
