"""Makes one whole call through one peer, between the simulators of phone and model, to see whether
it works.

`.venv/bin/python benchmarks/peers/one_call.py pipecat|agents_sdk|livekit`
"""

import asyncio
import contextlib
import os
import socket
import sys
from asyncio.subprocess import Process
from collections.abc import AsyncIterator
from pathlib import Path

from simulators.openai.server import OpenAISimulator
from simulators.scenario import APPOINTMENT
from simulators.telnyx.behaviour import CarrierFaults, Person
from simulators.telnyx.commands import StreamSettings
from simulators.telnyx.media import MediaLog, MediaStream, StreamLeg
from simulators.telnyx.person import FRAME_MS, PersonConversation

ROOT = Path(__file__).parent.parent.parent
AUDIO = {"pipecat": "pcm24k", "agents_sdk": "g711", "livekit": "pcm24k"}
START_TIMEOUT_SECONDS = 60
STOP_TIMEOUT_SECONDS = 10
CALLER = StreamLeg(
    user_id="00000000-0000-4000-8000-000000000100",
    call_control_id="v3:one-call",
    call_session_id="00000000-0000-4000-8000-000000000101",
    from_="+15550100",
    to="+15550101",
    client_state=None,
)


async def main(name: str) -> None:
    async with OpenAISimulator() as model, running(name, model.url) as port:
        log = MediaLog()
        stream = MediaStream(_settings(port), "PCMU", CarrierFaults(), log)
        conversation = PersonConversation(Person(APPOINTMENT), print)
        async with asyncio.TaskGroup() as tasks:
            await stream.open()
            await stream.start(CALLER)
            tasks.create_task(stream.listen())
            await converse(stream, conversation)
            await stream.stop(CALLER)
        [session] = model.sessions
        for heard in session.recognitions:
            print("model heard", heard.text, f"({heard.correlation:.3f}, {heard.snr_db:.1f} dB)")
        for truncation in session.truncations:
            print("truncated", truncation)
        for error in session.errors:
            print("model error", error.code, error.message)
        print("frames", log.frames_in, "clears", log.clears, "flagged", log.flagged)


def _settings(port: int) -> StreamSettings:
    return StreamSettings(
        stream_url=f"ws://127.0.0.1:{port}/media-bridge/one-call/1",
        stream_bidirectional_mode="rtp",
        stream_auth_token="any",
    )


async def converse(stream: MediaStream, conversation: PersonConversation) -> None:
    """Exchange a frame in each direction every 20 ms until the person hangs up."""
    clock = asyncio.get_running_loop().time
    due = clock()
    while conversation.goodbye is None:
        said = conversation.hear(await stream.play())
        await stream.carry(said)
        due += FRAME_MS / 1000
        await asyncio.sleep(max(0.0, due - clock()))


@contextlib.asynccontextmanager
async def running(name: str, model_url: str) -> AsyncIterator[int]:
    """Run the peer as its own process in its own environment, and yield its port."""
    port = free_port()
    peer = await asyncio.create_subprocess_exec(
        ROOT / f".venv-peers/{name}/bin/python",
        ROOT / f"benchmarks/peers/{name}_bot.py",
        *("--port", str(port)),
        env=os.environ
        | {
            "OPENAI_REALTIME_URL": model_url,
            "OPENAI_API_KEY": "sk-none",
            "MODEL_AUDIO": AUDIO[name],
        },
    )
    try:
        await listening(peer, port)
        yield port
    finally:
        await end(peer)


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as server:
        port: int = server.getsockname()[1]
    return port


async def listening(peer: Process, port: int) -> None:
    async with asyncio.timeout(START_TIMEOUT_SECONDS):
        while True:
            with contextlib.suppress(OSError):
                _, writer = await asyncio.open_connection("127.0.0.1", port)
                writer.close()
                return
            if peer.returncode is not None:
                sys.exit(f"the peer ended with {peer.returncode}")
            await asyncio.sleep(0.1)


async def end(peer: Process) -> None:
    with contextlib.suppress(ProcessLookupError):
        peer.terminate()
    try:
        async with asyncio.timeout(STOP_TIMEOUT_SECONDS):
            await peer.wait()
    except TimeoutError:
        peer.kill()
        await peer.wait()


if __name__ == "__main__":
    asyncio.run(main(sys.argv[1]))
