"""The sockets under fuzzed input, on the loopback of this machine: the media socket and its door,
the model's socket, and the users' servers behind tools."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import asynccontextmanager, contextmanager, suppress
from dataclasses import replace
from functools import partial
from random import Random

import uvloop
from botocore.credentials import Credentials
from websockets.asyncio.client import ClientConnection, connect
from websockets.asyncio.server import ServerConnection, serve
from websockets.exceptions import WebSocketException

from benchmarks.fuzz import phone_frames
from benchmarks.fuzz.container import Container, running_container
from benchmarks.fuzz.model_server import CLOSE_CODES, GenuineModel, samples
from benchmarks.fuzz.mutation import Mutator
from benchmarks.fuzz.target import Broken, Play, Tally, Target
from media_bridge.commands import RunFunction
from media_bridge.runtime.mailbox_poll import MailboxPoll
from phonebridge.call.call import Call
from phonebridge.call.config import CallConfig
from phonebridge.call.tools import HttpsFunction
from phonebridge.storage.dynamodb import DynamoAccess

INPUTS = 20_000
CALLS_PER_ROUND = 20
INPUTS_PER_CALL = 100
DOORS_PER_ROUND = 500
TOOLS_PER_ROUND = 500
TOOLS_AT_ONCE = 20
POLLS_PER_ROUND = 100
TIMEOUT_SECONDS = 120.0
CLOSE_SECONDS = 0.5
PAUSE_SECONDS = 0.002
REFUSED = (OSError, WebSocketException, EOFError, asyncio.IncompleteReadError)
"""How the other side of a socket notices that it was closed."""

Round = Callable[[Random, Tally], Awaitable[None]]


def targets() -> Iterator[Target]:
    yield Target("media socket", INPUTS, partial(_in_loop, _media))
    yield Target("door of the media socket", INPUTS, partial(_in_loop, _door))
    yield Target("model socket", INPUTS, partial(_in_loop, _model))
    yield Target("answers of tools", INPUTS, partial(_in_loop, _tools))
    yield Target("answers to the poll of the mailbox", INPUTS, partial(_in_loop, _polls))


@contextmanager
def _in_loop(play: Round) -> Iterator[Play]:
    async def limited(chance: Random, tally: Tally) -> None:
        async with asyncio.timeout(TIMEOUT_SECONDS):
            await play(chance, tally)

    def run(chance: Random, tally: Tally) -> None:
        with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
            runner.run(limited(chance, tally))

    yield run


async def _media(chance: Random, tally: Tally) -> None:
    """Phones whose frames are broken, beside a model that follows its protocol."""
    async with (
        _model_server(partial(_converse, chance, tally, 0.0, 0)) as model,
        running_container(model) as container,
    ):
        phones = (_phone(container, chance, tally) for _ in range(CALLS_PER_ROUND))
        await asyncio.gather(*phones)
        await container.hang_up()


async def _phone(container: Container, chance: Random, tally: Tally) -> None:
    call = container.answered(CallConfig(codec=chance.choice(("PCMU", "L16"))))
    mutator, genuine = Mutator(chance, phone_frames.SAMPLES), phone_frames.GenuinePhone(chance)
    with suppress(*REFUSED):
        async with _dial_in(container, call) as socket:
            await socket.send(phone_frames.connected().decode())
            await socket.send(phone_frames.start("PCMU", 8_000, call.call_id).decode())
            for _ in range(INPUTS_PER_CALL):
                await _send_frame(socket, mutator, genuine, chance, tally)
            if chance.random() < 0.3:
                socket.transport.abort()


def _dial_in(container: Container, call: Call) -> connect:
    return connect(
        f"{container.url}/{call.call_id}/1",
        additional_headers=container.token(call),
        compression=None,
        proxy=None,
        max_queue=None,  # a full queue would hide the close frame
        close_timeout=CLOSE_SECONDS,
    )


async def _send_frame(
    socket: ClientConnection,
    mutator: Mutator,
    genuine: phone_frames.GenuinePhone,
    chance: Random,
    tally: Tally,
) -> None:
    frame = genuine.next_frame()
    if chance.random() < 0.5:
        frame = mutator.mutate(chance.choice((frame, mutator.sample())))
    tally.count(frame)
    luck = chance.random()
    if luck < 0.002:
        socket.transport.write(chance.randbytes(40))  # no WebSocket frame
    elif luck < 0.05:
        await socket.send([frame[:7], frame[7:40], frame[40:]])
    elif luck < 0.1:
        await socket.send(frame)  # a binary message
    elif luck < 0.12:
        await socket.ping(frame[:100])
    else:
        await socket.send(frame, text=True)
    await asyncio.sleep(chance.choice((0, 0, 0, PAUSE_SECONDS)))


async def _model(chance: Random, tally: Tally) -> None:
    """A model whose events are broken, beside phones that follow their protocol."""
    async with (
        _model_server(partial(_converse, chance, tally, 0.4, INPUTS_PER_CALL)) as model,
        running_container(model) as container,
    ):
        phones = (_patient_phone(container, chance) for _ in range(CALLS_PER_ROUND))
        await asyncio.gather(*phones)
        await container.hang_up()


async def _patient_phone(container: Container, chance: Random) -> None:
    call = container.answered(CallConfig())
    with suppress(*REFUSED):
        async with _dial_in(container, call) as socket:
            await socket.send(phone_frames.start("PCMU", 8_000, call.call_id).decode())
            for number in range(1, 100):
                await socket.send(phone_frames.media(number).decode())
                await asyncio.sleep(0.02)
            await socket.send(phone_frames.STOP.decode())


async def _converse(
    chance: Random, tally: Tally, share: float, unasked: int, socket: ServerConnection
) -> None:
    """One session. `share` of the events are mutated; `unasked` of them answer no request."""
    model, mutator = GenuineModel(chance), Mutator(chance, samples())

    async def send(texts: list[bytes]) -> None:
        for text in texts:
            if share:
                text = mutator.mutate(text) if chance.random() < share else text
                tally.count(text)
            await socket.send(text, text=chance.random() < 0.98)

    with suppress(*REFUSED):
        await send(model.greets())
        sent = 0
        async for request in socket:
            text = request.encode() if isinstance(request, str) else request
            await send(model.answers(text) if b'"response.create"' in text or sent < 2 else [])
            sent += 1
            if sent < unasked and chance.random() < 0.5:
                await send([*model.hears_caller()][: chance.randrange(14)])
            if share and chance.random() < 0.004:
                await socket.close(chance.choice([code for code in CLOSE_CODES if code >= 3_000]))


@asynccontextmanager
async def _model_server(
    converse: Callable[[ServerConnection], Awaitable[None]],
) -> AsyncIterator[str]:
    async with serve(converse, "127.0.0.1", 0, close_timeout=CLOSE_SECONDS) as server:
        port = next(iter(server.sockets)).getsockname()[1]
        yield f"ws://127.0.0.1:{port}/v1/realtime"


_UPGRADE = (
    b"GET /media-bridge/call-1/1 HTTP/1.1\r\nHost: media.example\r\nUpgrade: websocket\r\n"
    b"Connection: Upgrade\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n"
    b"Sec-WebSocket-Version: 13\r\nX-Forwarded-For: 203.0.113.7\r\n"
    b"x-telnyx-streaming-auth-token: 1.1795426200.c2lnbmF0dXJl\r\n\r\n"
)
_HEALTH = b"GET /healthz HTTP/1.1\r\nHost: media.example\r\n\r\n"


async def _door(chance: Random, tally: Tally) -> None:
    """Strangers who send anything to the port. None of them may cost a slot, or an exception."""
    mutator = Mutator(chance, [_UPGRADE, _UPGRADE.replace(b"x-telnyx", b"x-other"), _HEALTH])
    async with running_container("ws://127.0.0.1:9/v1/realtime") as container:
        for _ in range(DOORS_PER_ROUND):
            request = mutator.mutate(mutator.sample())
            tally.count(request)
            answer = await _knock(container.port, request)
            if answer.startswith(b"HTTP/1.1 500"):  # picows answers an exception of ours so
                raise Broken(answer.decode(errors="replace"))
            tally.refused += answer[9:12] not in (b"101", b"200")
        if not (await _knock(container.port, _HEALTH)).startswith(b"HTTP/1.1 200"):
            raise Broken("the container is not healthy any more")
        if container.worker._active_calls:
            raise Broken("a stranger has a slot")
        container.check_log()


async def _knock(port: int, request: bytes) -> bytes:
    answer = b""
    with suppress(*REFUSED, TimeoutError):
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        try:
            writer.write(request)
            async with asyncio.timeout(0.02):
                answer = await reader.read(200)
        finally:
            writer.transport.abort()
    return answer


_TOOL_ANSWERS = tuple(
    b'HTTP/1.1 %b\r\nContent-Type: %b\r\nContent-Length: 15\r\n\r\n{"table": true}' % pair
    for pair in (
        (b"200 OK", b"application/json"),
        (b"200 OK", b"text/plain; charset=utf-8"),
        (b"503 Service Unavailable", b"text/html"),
        (b"302 Found", b"text/html"),
    )
)


_COUNTS = tuple(
    b"HTTP/1.1 200 OK\r\nContent-Type: application/x-amz-json-1.0\r\n"
    b"Content-Length: %d\r\n\r\n%b" % (len(body), body)
    for body in (b'{"Count":0,"ScannedCount":0}', b'{"Count":2,"ScannedCount":2}')
)
_ACCESS = DynamoAccess("", "us-east-1", Credentials("local", "local"))


async def _polls(chance: Random, tally: Tally) -> None:
    """A poll that cannot be read counts as a mailbox that is not empty."""
    mutator = Mutator(chance, _COUNTS)

    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with suppress(*REFUSED):
            while await reader.readuntil(b"\r\n\r\n"):
                await reader.readuntil(b"}")
                is_whole = chance.random() < 0.3
                message = mutator.sample() if is_whole else mutator.mutate(mutator.sample())
                tally.count(message)
                writer.write(message)
                await writer.drain()
                if not is_whole:  # the poll would wait for the rest of its answer
                    break
        writer.close()

    server = await asyncio.start_server(answer, "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]
    access = replace(_ACCESS, endpoint_url=f"http://127.0.0.1:{port}")
    async with server:
        while tally.inputs < POLLS_PER_ROUND:
            poll = MailboxPoll(access, lambda: b'{"TableName":"calls"}')
            for _ in range(3):
                tally.refused += not await poll.is_empty()
            poll.close()


async def _tools(chance: Random, tally: Tally) -> None:
    """Whatever a user's server answers, the model gets a result."""
    mutator = Mutator(chance, _TOOL_ANSWERS)

    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        message = mutator.mutate(mutator.sample())
        tally.count(message)
        with suppress(*REFUSED):
            await reader.readuntil(b"\r\n\r\n")
            writer.write(message)
            await writer.drain()
        writer.close()

    server = await asyncio.start_server(answer, "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]
    function = HttpsFunction(name="book", url=f"http://127.0.0.1:{port}/", timeout_seconds=10.0)
    async with server, running_container("ws://127.0.0.1:9/v1/realtime") as container:
        runner = container.worker.services.tool_runner
        allowed = frozenset({("127.0.0.1", port)})
        object.__setattr__(runner._client, "allowed_hosts", allowed)
        for _ in range(TOOLS_PER_ROUND // TOOLS_AT_ONCE):
            commands = [
                RunFunction(f"call-{each}", function, "{}") for each in range(TOOLS_AT_ONCE)
            ]
            returned = await asyncio.gather(*(runner.run("call-1", each) for each in commands))
            tally.refused += sum(not each.ok for each in returned)
            for each in returned:
                each.output.encode()
        container.check_log()
