"""Genuine frames of a phone, as samples (Telnyx, "Media Streaming over WebSockets")."""

import base64
import json
from random import Random
from typing import Any

CALL_ID, CONTROL_ID = "call-1", "v3:leg-1"
PAYLOAD = base64.b64encode(b"\x22\x91" * 80).decode()


def _frame(event: str, **fields: Any) -> bytes:
    return json.dumps(
        {"event": event, "sequence_number": "4", "stream_id": "s-1"} | fields
    ).encode()


def connected(token: str | None = None) -> bytes:
    header = {"x-telnyx-streaming-auth-token": token or "1.1795426200.c2lnbmF0dXJl"}
    return _frame("connected", version="1.0.0", connected=header)


def start(encoding: str, rate: int, call_id: str = CALL_ID) -> bytes:
    state = base64.b64encode(call_id.encode()).decode()
    leg = {
        "user_id": "u-1",
        "call_control_id": CONTROL_ID,
        "call_session_id": "session-1",
        "from": "+15550100",
        "to": "+15550199",
        "client_state": state,
        "media_format": {"encoding": encoding, "sample_rate": rate, "channels": 1},
    }
    return _frame("start", start=leg)


def media(chunk: int, payload: str = PAYLOAD) -> bytes:
    fields = {"track": "inbound", "chunk": str(chunk), "timestamp": str(20 * chunk)}
    return _frame("media", media=fields | {"payload": payload})


def mark(name: str) -> bytes:
    return _frame("mark", mark={"name": name})


def dtmf(digit: str) -> bytes:
    return _frame("dtmf", occurred_at="2026-11-30T21:00:00Z", dtmf={"digit": digit})


STOP = _frame("stop", stop={"user_id": "u-1", "call_control_id": CONTROL_ID})
ERROR = _frame("error", payload={"code": 100004, "title": "invalid_media", "detail": "no base64"})

SAMPLES = (
    connected(),
    start("PCMU", 8_000),
    start("L16", 16_000),
    media(1),
    media(77),
    mark("m-1"),
    dtmf("5"),
    ERROR,
)
STOP_SHARE = 0.004
"""A call whose stream stops early says nothing about what would have come after."""


class GenuinePhone:
    """The next frame that a phone may send in a call."""

    def __init__(self, chance: Random) -> None:
        self._chance = chance
        self._chunk = 0
        self.marks: list[str] = []
        """Names that wait for their return."""

    def next_frame(self) -> bytes:
        luck = self._chance.random()
        if luck < STOP_SHARE:
            return STOP
        if luck < 0.06:
            return dtmf(self._chance.choice("0123456789*#ABCD"))
        if luck < 0.2 and self.marks:
            return mark(self.marks.pop(0))
        if luck < 0.22:
            return self._chance.choice((ERROR, connected(), start("PCMU", 8_000)))
        self._chunk += 1
        return media(self._chunk)
