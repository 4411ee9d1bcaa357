"""What a container still holds of calls that are over: nothing."""

import asyncio
import gc
import weakref
from collections import Counter
from collections.abc import Awaitable, Callable, Collection
from functools import wraps
from typing import Any

import pytest

from media_bridge.bridge import Bridge
from media_bridge.conversation.conversation import Conversation
from media_bridge.openai.protocol import RealtimeProtocol
from media_bridge.runtime import heartbeat, websocket
from media_bridge.runtime.call_log import CallLog
from media_bridge.runtime.call_records import CallRecords
from media_bridge.runtime.call_session import CallSession
from media_bridge.runtime.model_socket import ModelSocket
from media_bridge.runtime.phone_socket import PhoneSocket
from media_bridge.runtime.server import _UpgradeHandler
from media_bridge.runtime.websocket import WebSocket
from media_bridge.runtime.write_queue import WriteQueue
from phonebridge.call.call import Call, Hangup
from phonebridge.call.events import CallHungUp
from simulators.openai.faults import NO_FAULTS, ModelFaults
from tests.support.media_phone import Phone
from tests.support.media_plane import MediaPlane, StartsPlane
from tests.support.waiting import until

OF_A_CALL = (
    CallSession,
    Bridge,
    Conversation,
    CallRecords,
    CallLog,
    ModelSocket,
    RealtimeProtocol,
    WebSocket,
    WriteQueue,
)
CALLS = 4


class Registry:
    """Keeps weak references to all objects of these classes that are made from now on."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self._made: list[weakref.ref[object]] = []
        for kind in (*OF_A_CALL, _UpgradeHandler):
            monkeypatch.setattr(kind, "__init__", self._noting(kind.__init__))

    def _noting(self, init: Callable[..., None]) -> Callable[..., None]:
        @wraps(init)
        def note(made: object, *args: Any, **named: Any) -> None:
            self._made.append(weakref.ref(made))
            init(made, *args, **named)

        return note

    def alive(self) -> Counter[str]:
        gc.collect()
        return Counter(type(each).__name__ for each in self._live() if isinstance(each, OF_A_CALL))

    def door(self) -> _UpgradeHandler:
        [door] = [each for each in self._live() if isinstance(each, _UpgradeHandler)]
        return door

    def _live(self) -> list[object]:
        return [found for each in self._made if (found := each()) is not None]


@pytest.fixture
def registry(monkeypatch: pytest.MonkeyPatch) -> Registry:
    return Registry(monkeypatch)


def held(plane: MediaPlane, registry: Registry) -> list[Collection[object]]:
    """The collections that hold calls by their ids."""
    task, services, door = plane.task, plane.services, registry.door()
    return [
        task._sessions,
        task._taken,
        task._claimed,
        task._writes._jobs,
        services.rescues._running,
        services.turn_writer._waiting,
        door._carried,
        door._open_streams,
        door._pending._addresses,
    ]


async def end(plane: MediaPlane, call: Call, phone: Phone) -> None:
    assert call.leg is not None
    hung_up = CallHungUp(call.leg, Hangup("normal_clearing", "caller", plane.now_ms()))
    await asyncio.to_thread(plane.services.switchboard.apply, call.call_id, hung_up)
    await phone.hang_up()


async def hang_up(plane: MediaPlane) -> None:
    phone = await plane.greeted()
    await end(plane, phone.call, phone)


async def lose_the_stream(plane: MediaPlane) -> None:
    phone = await plane.greeted()
    await phone.vanish()
    await end(plane, phone.call, await plane.next_stream(phone.call))


async def bring_no_token(plane: MediaPlane) -> None:
    phone = await plane.dial_in(plane.answered(), None)
    await phone.start()
    await phone.closed()


async def bring_a_wrong_token(plane: MediaPlane) -> None:
    phone = await plane.dial_in(plane.answered(), None)
    connected = {"x-telnyx-streaming-auth-token": "1.2.three"}
    await phone.send({"event": "connected", "connected": connected})
    await phone.closed()


async def lose_the_session(plane: MediaPlane) -> None:
    phone = await plane.streaming()
    await until(lambda: len(plane._sessions(phone.call)) > 1)
    await end(plane, phone.call, phone)


LOST_SESSION = ModelFaults(close_abruptly_in_response=1)


@pytest.mark.parametrize(
    ("play", "faults"),
    [
        (hang_up, NO_FAULTS),
        (lose_the_stream, NO_FAULTS),
        (lose_the_session, LOST_SESSION),
        (bring_no_token, NO_FAULTS),
        (bring_a_wrong_token, NO_FAULTS),
    ],
)
async def test_calls_that_are_over_leave_nothing_in_memory(
    start_plane: StartsPlane,
    registry: Registry,
    monkeypatch: pytest.MonkeyPatch,
    play: Callable[[MediaPlane], Awaitable[None]],
    faults: ModelFaults,
) -> None:
    monkeypatch.setattr(heartbeat, "HEARTBEAT_SECONDS", 0.01)
    monkeypatch.setattr(websocket, "CLOSE_SECONDS", 0.01)
    async with start_plane(faults) as plane:
        before = registry.alive()
        for _ in range(CALLS):
            await play(plane)
        await until(lambda: not any(held(plane, registry)))
        # A closed socket is kept until its peer has answered.
        await until(lambda: not registry.alive() - before)


async def test_a_live_call_is_noticed(start_plane: StartsPlane, registry: Registry) -> None:
    """The test above would pass if the parts of a call could not be counted."""
    async with start_plane() as plane:
        before = registry.alive()
        await plane.greeted()
        found = registry.alive() - before
        kinds = {kind.__name__ for kind in OF_A_CALL} | {PhoneSocket.__name__}
        assert kinds <= set(found)
        assert any(held(plane, registry))
