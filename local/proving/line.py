"""One call to a person: sends commands to Telnyx, and observes their effects."""

import asyncio
import uuid
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import httpx

from proving.receiver import Receiver, SeenSocket, SeenWebhook

VOICE = "AWS.Polly.Joanna"
G711 = {"stream_bidirectional_mode": "rtp", "stream_bidirectional_codec": "PCMU"}
ALREADY_OVER = "90018"
RATE_LIMIT_PREFIX = "x-ratelimit-"
TOO_MANY_REQUESTS = 429


@dataclass(frozen=True, slots=True)
class Waits:
    """How long to wait, in seconds."""

    inbound: float = 60.0
    answer: float = 45.0
    key: float = 20.0
    socket: float = 10.0
    news: float = 20.0
    """The wait for webhooks and sockets after a break."""
    media: float = 4.0
    spoken: float = 8.0
    early_repetition: float = 10.0
    late_repetition: float = 60.0
    retries: float = 90.0
    lookups: tuple[float, ...] = (0.0, 60.0, 300.0, 660.0)


@dataclass(frozen=True, slots=True)
class Reply:
    """A response of the API."""

    status: int
    code: str
    data: dict[str, Any]

    @property
    def is_ok(self) -> bool:
        return self.status < 300

    def __str__(self) -> str:
        return f"{self.status} {self.code}".strip()


class CarrierApi:
    def __init__(self, http: httpx.AsyncClient) -> None:
        self._http = http
        self.rate_limit: dict[str, str] = {}
        """Headers of the latest answer about the limit, such as `remaining`."""
        self.was_too_fast = False

    async def send(self, method: str, path: str, body: dict[str, Any] | None = None) -> Reply:
        answer = await self._http.request(method, path, json=body)
        self.was_too_fast |= answer.status_code == TOO_MANY_REQUESTS
        self.rate_limit |= {
            name.removeprefix(RATE_LIMIT_PREFIX): value
            for name, value in answer.headers.items()
            if name.startswith(RATE_LIMIT_PREFIX)
        }
        try:
            content = answer.json()
        except ValueError:
            content = {}
        content = content if isinstance(content, dict) else {}
        errors = content.get("errors") or [{}]
        data = content.get("data")
        code = str(errors[0].get("code") or "")
        return Reply(answer.status_code, code, data if isinstance(data, dict) else {})


@dataclass(frozen=True, slots=True)
class Numbers:
    """The numbers of the person and of the caller."""

    to: str = field(repr=False)
    from_: str = field(repr=False)
    connection_id: str
    webhook_url: str
    media_url: str


def token_of(stream_number: int) -> str:
    return f"token-{stream_number}"


class Line:
    def __init__(self, api: CarrierApi, receiver: Receiver, numbers: Numbers, waits: Waits) -> None:
        self.api = api
        self.receiver = receiver
        self.waits = waits
        self.control_id = ""
        self._numbers = numbers
        self._streams = 0

    async def dial(self, command_id: str) -> Reply:
        body = {
            "to": self._numbers.to,
            "from": self._numbers.from_,
            "connection_id": self._numbers.connection_id,
            "webhook_url": self._numbers.webhook_url,
            "command_id": command_id,
            "time_limit_secs": 900,
        }
        return await self.api.send("POST", "/calls", body)

    async def command(self, action: str, command_id: str = "", **body: Any) -> Reply:
        named = {"command_id": command_id or str(uuid.uuid4()), **body}
        return await self.api.send("POST", f"/calls/{self.control_id}/actions/{action}", named)

    async def look_up(self) -> Reply:
        return await self.api.send("GET", f"/calls/{self.control_id}")

    async def speak(self, text: str, command_id: str = "") -> Reply:
        return await self.command("speak", command_id, payload=text, voice=VOICE)

    async def say(self, text: str) -> None:
        """Speak, and wait until it has been said."""
        said = len(self.receiver.of_type("call.speak.ended"))
        if (await self.speak(text)).is_ok:
            await self.webhook("call.speak.ended", self.waits.key, after=said)

    async def answer(self, control_id: str) -> tuple[Reply, SeenSocket | None]:
        """Answer an inbound call with a stream."""
        self.control_id = control_id
        return await self._stream_by("answer")

    async def start_stream(self, **settings: Any) -> tuple[Reply, SeenSocket | None]:
        """Start the next stream. Returns its socket once Telnyx has sent `start`."""
        return await self._stream_by("streaming_start", **settings)

    async def _stream_by(self, action: str, **settings: Any) -> tuple[Reply, SeenSocket | None]:
        self._streams += 1
        number = self._streams
        url = f"{self._numbers.media_url}{self.receiver.media_path}/{number}"
        token = token_of(number)
        reply = await self.command(
            action, stream_url=url, stream_auth_token=token, **(G711 | settings)
        )
        if not reply.is_ok:
            return reply, None
        return reply, await self.receiver.wait_for(
            lambda: next((each for each in self.started_sockets() if each.number == number), None),
            self.waits.socket,
        )

    async def stop_streams(self) -> Reply:
        """Stop all streams, and wait for their sockets to close."""
        reply = await self.command("streaming_stop")
        if reply.is_ok:
            await self.receiver.wait_for(lambda: not self.open_sockets() or None, self.waits.socket)
        return reply

    async def fresh_stream(self, **settings: Any) -> tuple[Reply, SeenSocket | None]:
        """Stop what is open, and start a stream."""
        await self.stop_streams()
        return await self.start_stream(**settings)

    def started_sockets(self) -> list[SeenSocket]:
        return [each for each in self.receiver.sockets if each.frame("start")]

    def open_sockets(self) -> list[SeenSocket]:
        return [each for each in self.started_sockets() if not each.is_closed]

    async def webhook(self, event_type: str, seconds: float, after: int = 0) -> SeenWebhook | None:
        """Wait for the first webhook of that type after the first `after` ones."""
        found = self.receiver.of_type
        return await self.receiver.wait_for(
            lambda: next(iter(found(event_type)[after:]), None), seconds
        )

    async def key_after(self, ask: Callable[[], Any]) -> str | None:
        """Wait for the first key that is pressed after `ask`."""
        before = len(self.receiver.of_type("call.dtmf.received"))
        await ask()
        pressed = await self.webhook("call.dtmf.received", self.waits.key, after=before)
        return str(pressed.payload.get("digit")) if pressed else None

    @property
    def is_over(self) -> bool:
        return bool(self.receiver.of_type("call.hangup"))

    async def hang_up(self) -> Reply:
        return await self.command("hangup")

    async def pause(self, seconds: float) -> None:
        await asyncio.sleep(seconds)
