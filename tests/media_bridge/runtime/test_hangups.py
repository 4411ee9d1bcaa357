"""A leg is hung up, whatever the table does."""

import asyncio
import threading
from typing import Any

import pytest

from media_bridge.runtime import hangups
from media_bridge.runtime.hangups import Hangups
from media_bridge.runtime.retries import RetryPauses
from media_bridge.runtime.threads import Threads
from phonebridge.call.call import Call
from phonebridge.call.commands import HangUp, SpeakToCaller, StopStreaming
from phonebridge.call.events import CallRequested, DialAccepted
from phonebridge.errors import TelnyxRefused, TelnyxUnreachable
from phonebridge.observability.log import logger
from tests.support.calls import LEG, after, outbound_call
from tests.support.waiting import until

CALL = after(outbound_call(), CallRequested(), DialAccepted(LEG))


class Carrier:
    def __init__(self, *failures: Exception) -> None:
        self.sent: list[tuple[object, str]] = []
        self.failures = list(failures)
        self.was_on_main_thread = False

    def execute(self, command: object, call: Call, config: object) -> None:
        self.was_on_main_thread |= threading.current_thread() is threading.main_thread()
        self.sent.append((command, call.call_id))
        if self.failures:
            raise self.failures.pop(0)


@pytest.fixture(autouse=True)
def at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(hangups, "RECORD_TIMEOUT_SECONDS", 0.01)


def hangups_by(carrier: Any) -> Hangups:
    return Hangups(carrier, logger("hangups"), RetryPauses(0.0, 0.0), Threads("hangup", 1))


async def test_a_call_whose_end_is_not_recorded_is_hung_up() -> None:
    carrier = Carrier()
    await hangups_by(carrier).ensure(CALL, asyncio.Event())
    assert carrier.sent == [(HangUp(), CALL.call_id)]
    assert not carrier.was_on_main_thread


async def test_the_program_that_records_the_end_hangs_up(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(hangups, "RECORD_TIMEOUT_SECONDS", 600.0)
    carrier, recorded = Carrier(), asyncio.Event()
    async with asyncio.TaskGroup() as tasks:
        tasks.create_task(hangups_by(carrier).ensure(CALL, recorded))
        recorded.set()
    assert carrier.sent == []


async def test_a_carrier_that_does_not_answer_is_asked_again() -> None:
    carrier = Carrier(TelnyxUnreachable("no answer"), TelnyxUnreachable("no answer"))
    await hangups_by(carrier).ensure(CALL, asyncio.Event())
    assert len(carrier.sent) == 3


async def test_a_carrier_that_refuses_is_not_asked_again() -> None:
    carrier = Carrier(TelnyxRefused(422, "90018", "Call has already ended"))
    await hangups_by(carrier).ensure(CALL, asyncio.Event())
    assert len(carrier.sent) == 1


async def test_it_ends_when_the_end_is_recorded_after_all() -> None:
    carrier, recorded = Carrier(*[TelnyxUnreachable("no answer")] * 10_000), asyncio.Event()
    async with asyncio.TaskGroup() as tasks:
        tasks.create_task(hangups_by(carrier).ensure(CALL, recorded))
        await until(lambda: carrier.sent)
        recorded.set()


async def test_a_call_without_a_leg_cannot_be_hung_up() -> None:
    carrier = Carrier()
    await hangups_by(carrier).ensure(outbound_call(), asyncio.Event())
    assert carrier.sent == []


async def test_the_carrier_speaks_once_the_stream_is_stopped() -> None:
    carrier = Carrier()
    assert await hangups_by(carrier).speak(CALL, "Goodbye.")
    spoken = [StopStreaming(CALL.attached_stream), SpeakToCaller("Goodbye.")]
    assert carrier.sent == [(command, CALL.call_id) for command in spoken]
    assert not carrier.was_on_main_thread


async def test_a_carrier_that_does_not_speak_is_not_waited_for() -> None:
    carrier = Carrier(TelnyxRefused(422, "90018", "Call has already ended"))
    assert not await hangups_by(carrier).speak(CALL, "Goodbye.")
    assert len(carrier.sent) == 1
