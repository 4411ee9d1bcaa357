"""A whole call through the simulator, and the simulator as its own program."""

import asyncio
import base64
import signal
import sys
from collections.abc import Iterator

import httpx
import numpy as np

from simulators.audio.g711 import A_LAW, MU_LAW, Law
from simulators.audio.speech import (
    CLIPS,
    Recognition,
    Samples,
    SpeechOnset,
    VoiceActivityDetector,
    recognise,
)
from simulators.scenario import CallerLine, Scenario
from simulators.telnyx.behaviour import Person
from simulators.telnyx.person import FRAME_MS
from simulators.telnyx.server import CarrierSimulatorEvent, TelnyxSimulator
from tests.support.telnyx_counterpart import MediaSocket, exchange, media_server, webhook_receiver
from tests.support.waiting import TIMEOUT_SECONDS

SCENARIO = Scenario(
    name="test",
    greeting="agent_free_times",
    caller=(CallerLine("caller_what_to_bring", interrupt_after_ms=800),),
    replies={"caller_what_to_bring": "agent_opening_hours"},
    fallback="agent_fallback",
)
PERSON = Person(SCENARIO, answers_after_ms=20)


class Agent:
    """Greets, stops when interrupted, and replies, as a bridge with its model does."""

    def __init__(self, socket: MediaSocket, law: Law) -> None:
        self.socket = socket
        self.law = law
        self.heard: list[Recognition] = []
        self.ear = VoiceActivityDetector(8000, silence_duration_ms=300)

    async def serve(self) -> None:
        await self.say(SCENARIO.greeting)
        sound: list[Samples] = []
        for number in self.frame_numbers():
            frame = await self.socket.wait_for("media", number)
            sound.append(self.law.decode(base64.b64decode(frame["media"]["payload"])))
            for event in self.ear.feed(sound[-1]):
                if isinstance(event, SpeechOnset):
                    await self.socket.send({"event": "clear"})
                else:
                    self.heard.append(recognise(np.concatenate(sound)))
                    await self.say(SCENARIO.replies["caller_what_to_bring"])
                    return

    def frame_numbers(self) -> Iterator[int]:
        yield from range(1, 20_000 // FRAME_MS)

    async def say(self, clip: str) -> None:
        await self.socket.speak(MU_LAW.encode(CLIPS[clip].samples))


async def a_call_to(to: str, law: Law) -> None:
    events: list[CarrierSimulatorEvent] = []
    async with (
        webhook_receiver() as receiver,
        media_server() as media,
        exchange(PERSON, webhook_url=receiver.url, on_event=events.append) as phone,
    ):
        call_id = await phone.dial(to)
        await receiver.wait_for("call.answered")
        await phone.sdk.calls.actions.start_streaming(
            call_id, stream_url=media.url, stream_bidirectional_mode="rtp"
        )
        socket = await media.socket()
        agent = Agent(socket, law)
        await agent.serve()
        [call] = phone.simulator.calls
        await call.ended.wait()
    conversation = call.conversation
    assert [heard.clip and heard.clip.name for heard in agent.heard] == ["caller_what_to_bring"]
    assert [heard.clip and heard.clip.name for heard in conversation.recognitions] == [
        "agent_free_times",
        "agent_opening_hours",
    ]
    assert conversation.recognitions[0].matched_ms < 2000
    assert [each.clip for each in conversation.interruptions] == ["caller_what_to_bring"]
    assert len(conversation.turn_latencies_ms) == 1
    assert conversation.goodbye == "finished"
    assert call.media.flagged == []
    assert (call.media.frames_in, call.media.clears) == (2, 1)
    assert call.media.frames_out == len(socket.of("media"))
    names = [event.name for event in events]
    for name in ("answered", "said", "heard", "interrupted", "person hangs up", "hangup"):
        assert name in names


async def test_a_person_is_greeted_interrupts_is_answered_and_hangs_up_in_either_law() -> None:
    async with asyncio.TaskGroup() as calls:
        calls.create_task(a_call_to("+15550100", MU_LAW))
        calls.create_task(a_call_to("+15550105", A_LAW))


async def test_the_program_says_where_it_is_and_ends_on_a_signal() -> None:
    program = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "simulators.telnyx", "--port", "0"),
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )
    assert program.stdout is not None
    async with asyncio.timeout(TIMEOUT_SECONDS):
        first, second = [(await program.stdout.readline()).decode().strip() for _ in range(2)]
        async with httpx.AsyncClient(timeout=TIMEOUT_SECONDS) as http:
            answer = await http.get(f"{first.rpartition(' ')[2]}/calls/v3:unknown")
        program.send_signal(signal.SIGTERM)
        _, errors = await program.communicate()
    assert answer.status_code == 401
    assert len(base64.b64decode(second.removeprefix("TELNYX_PUBLIC_KEY="))) == 32
    assert (program.returncode, errors) == (0, b"")


async def test_people_can_be_given_by_number() -> None:
    busy = Person(SCENARIO, answers_after_ms=0, refuses="busy")
    async with exchange(PERSON, people={"+15550130": busy}) as phone:
        await phone.dial("+15550130")
        [call] = phone.simulator.calls
        await call.ended.wait()
    assert call.ending is not None
    assert call.ending.cause == "user_busy"


async def test_leaving_the_simulator_ends_calls_that_are_still_up() -> None:
    async with media_server() as media:
        async with TelnyxSimulator(person=PERSON) as simulator, httpx.AsyncClient() as http:
            await http.post(
                f"{simulator.api_base}/calls",
                headers={"authorization": "Bearer KEY-test"},
                json={
                    "connection_id": "1",
                    "to": "+15550100",
                    "from": "+15550199",
                    "stream_url": media.url,
                },
            )
            socket = await media.socket()
            await socket.wait_for("start")
        await socket.wait_closed()
