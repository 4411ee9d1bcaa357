"""One call through a running container: what both ends see, what is on record afterwards, and that
the other calls of the container go on."""

import asyncio
import threading
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from typing import Any

import pytest
from botocore.exceptions import ClientError, EndpointConnectionError

from media_bridge.bridge import Bridge
from media_bridge.commands import BridgeCommand
from media_bridge.conversation import active_response, call_parts, reconnects, stream_start
from media_bridge.conversation.reconnects import MAX_LOSSES
from media_bridge.events import BridgeEvent, DigitPressed
from phonebridge.call.call import Call, CallStatus, Hangup, Outcome
from phonebridge.call.config import CallConfig, StreamSetup
from phonebridge.call.events import CallAnswered, CallHungUp
from phonebridge.call.steering import StartTransfer, Steering
from phonebridge.call.tools import BuiltIn, Destination, HttpsFunction, Message, Tools
from phonebridge.call.transfer import CallTransferred, TransferRequested
from phonebridge.call.turn import Speaker, Turn
from phonebridge.settings import ModelAudio, SessionAck
from simulators.audio.g711 import MU_LAW
from simulators.audio.speech import CLIPS
from simulators.openai.faults import NO_FAULTS, ModelFaults
from simulators.openai.session import SimulatedSession
from tests.support.bad_servers import (
    BROKEN,
    FORBIDDEN,
    NO_ANSWER,
    NO_HTTP,
    NOBODY_LISTENS,
    bad_server,
)
from tests.support.media_phone import SILENCE, Frame, Phone
from tests.support.media_plane import (
    MediaPlane,
    StartsPlane,
)
from tests.support.realtime_oracle import check_client
from tests.support.tool_servers import Connection, answer, silence, tool_server
from tests.support.waiting import until

DIGIT: Frame = {"event": "dtmf", "dtmf": {"digit": "5"}}
HEARTFELT = "caller_opening_hours"


@pytest.mark.parametrize("model_audio", ModelAudio)
async def test_both_sides_hear_each_other_and_the_record_tells_of_it(
    start_plane: StartsPlane, model_audio: ModelAudio
) -> None:
    async with start_plane(model_audio=model_audio) as plane:
        phone = await plane.greeted()
        await plane.converse(phone)
        await phone.hear_answer()
        await phone.stop()
        assert await phone.closed() == 1000
        model = await plane.session(phone.call)
    record = plane.record(phone.call)
    greeting, question, answer = sorted(record.turns, key=lambda turn: turn.number)
    assert (greeting.who, greeting.interrupted) == (Speaker.AGENT, True)
    assert (question.who, question.text) == (Speaker.CALLER, CLIPS[HEARTFELT].text)
    assert answer.who is Speaker.AGENT
    assert record.call.status is CallStatus.STREAMING, "the hangup's webhook will end it"
    assert record.activity.frames_in == len(MU_LAW.encode(CLIPS[HEARTFELT].samples)) // 160 + 51
    assert record.activity.frames_out > 0
    assert record.activity.interruptions == 1
    assert record.usage.output_audio > 0
    for frame in model.received:
        check_client(frame)


NO_FRAMES: list[Frame | str | bytes] = [
    "{",
    "",
    "[]",
    b"\x00\xff\xfe",
    b'{"event": "mark", "mark": {"name": "a"}}',
    {"event": "media"},
    {"event": "media", "media": {"chunk": "1", "payload": "!not base64!"}},
    {"event": "media", "media": {"chunk": [], "payload": 7}},
    {"event": "news", "of": "tomorrow"},
    {"event": "error", "payload": {"code": 100003, "title": "malformed_frame"}},
    {"event": "start", "start": {}},
    DIGIT,
]


async def test_a_call_goes_on_without_the_frames_that_are_none(start_plane: StartsPlane) -> None:
    async with start_plane() as plane:
        phone = await plane.greeted()
        for frame in NO_FRAMES:
            await phone.send(frame)
        await plane.converse(phone)


async def test_what_the_carrier_delivers_out_of_order_is_heard_in_order(
    start_plane: StartsPlane,
) -> None:
    async with start_plane() as plane:
        phone = await plane.greeted()
        frames = phone.frames(MU_LAW.encode(CLIPS[HEARTFELT].samples) + SILENCE)
        for early, late in zip(frames[1::2], frames[::2], strict=False):
            await phone.send(early)
            await phone.send(late)
        model = await plane.session(phone.call)
        await until(lambda: model.recognitions)
        assert model.recognitions[0].clip is CLIPS[HEARTFELT]


async def test_the_model_misses_no_moment_that_the_carrier_lost(start_plane: StartsPlane) -> None:
    """Were the lost frames cut out, the clip would be shorter and not be recognised."""
    async with start_plane() as plane:
        phone = await plane.greeted()
        frames = phone.frames(MU_LAW.encode(CLIPS[HEARTFELT].samples) + SILENCE)
        for number, frame in enumerate(frames):
            if number % 25:
                await phone.send(frame)
        model = await plane.session(phone.call)
        await until(lambda: model.recognitions)
        assert model.recognitions[0].clip is CLIPS[HEARTFELT]
        await phone.stop()
        await phone.closed()
    assert plane.record(phone.call).activity.frames_lost == pytest.approx(len(frames) / 25, 1)


@pytest.mark.parametrize(
    ("encoding", "changes", "reason"),
    [
        ("L16", {"media_format": {"encoding": "L16", "sample_rate": 16000}}, "unsupported_codec"),
        (
            "PCMU",
            {"client_state": "Y2FsbC05OQ==", "call_control_id": "v3:other"},
            "wrong_call",
        ),
        ("PCMU", {"client_state": None, "call_control_id": "v3:other"}, "wrong_call"),
    ],
)
async def test_a_stream_that_cannot_be_carried_ends_its_call_and_no_other(
    start_plane: StartsPlane, encoding: str, changes: dict[str, Any], reason: str
) -> None:
    async with start_plane() as plane:
        other = await plane.greeted()
        call = plane.answered()
        phone = await plane.dial_in(call, plane.token(call))
        await phone.start(encoding, **changes)
        assert await plane.failed(call) == reason
        assert await phone.closed() == 1000
        await plane.converse(other)


async def test_a_fault_of_too_many_words_is_recorded_with_fewer(start_plane: StartsPlane) -> None:
    async with start_plane() as plane:
        phone = await plane.connected(plane.answered())
        await until(lambda: plane.task.carries(phone.call.call_id))
        await phone.start("X" * 500_000)  # longer than an item of DynamoDB may be
        assert await plane.failed(phone.call) == "unsupported_codec"


async def test_a_frame_that_is_too_long_ends_its_stream_and_no_other(
    start_plane: StartsPlane, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with start_plane() as plane:
        other = await plane.greeted()
        phone = await plane.greeted()
        await phone.send("x" * 2_000_000)
        assert await phone.closed() == 1009
        await plane.next_stream(phone.call)
        await plane.converse(other)


async def test_a_stream_without_start_ends_its_call(
    start_plane: StartsPlane, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(stream_start, "START_TIMEOUT_SECONDS", 0.2)
    async with start_plane() as plane:
        call = plane.answered()
        phone = await plane.dial_in(call, plane.token(call))
        assert await plane.failed(call) == "no_media_start"
        assert await phone.closed() == 1000


async def test_a_carrier_that_sends_no_audio_ends_its_call(
    start_plane: StartsPlane, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(call_parts, "MEDIA_TIMEOUT_SECONDS", 0.2)
    async with start_plane() as plane:
        phone = await plane.streaming()
        assert await plane.failed(phone.call) == "media_silent"


@pytest.mark.parametrize("leave", [Phone.close, Phone.vanish])
async def test_a_socket_that_closes_without_stop_is_replaced(
    start_plane: StartsPlane, leave: Any
) -> None:
    async with start_plane() as plane:
        other = await plane.greeted()
        phone = await plane.greeted()
        await leave(phone)
        await plane.converse(await plane.next_stream(phone.call))
        assert plane.telnyx.names == ["streaming_stop", "streaming_start"]
        await plane.converse(other)


async def test_a_socket_that_closes_because_the_caller_hung_up_is_no_fault(
    start_plane: StartsPlane,
) -> None:
    async with start_plane() as plane:
        phone = await plane.greeted()
        plane.telnyx.legs = {"is_alive": False}
        await phone.vanish()
        await until(lambda: plane.record(phone.call).call.status is CallStatus.ENDED)
        assert phone.call.leg is not None
        hangup = Hangup("normal_clearing", "callee", plane.now_ms())
        plane.services.switchboard.apply(phone.call.call_id, CallHungUp(phone.call.leg, hangup))
    record = plane.record(phone.call)
    assert (record.call.outcome, record.call.fault) == (Outcome.COMPLETED, None)
    assert record.call.reason == "callee_hung_up"
    assert record.activity.frames_out > 0
    assert plane.telnyx.commands == []


# The model's side.


@pytest.mark.parametrize(
    ("faults", "settings", "reason"),
    [
        (ModelFaults(), {"openai_api_key": "sk-wrong-key"}, "model_refused"),
        (ModelFaults(), {"openai_realtime_url": "ws://127.0.0.1:99999"}, "bridge_crashed"),
        (ModelFaults(), {"openai_model": "gpt-4o"}, "model_refused"),
        (ModelFaults(refuse_session_update=True), {}, "model_refused"),
        (ModelFaults(formats_not_honoured=True), {}, "model_refused"),
        (ModelFaults(fail_responses=True), {}, "model_failed"),
        (ModelFaults(silent_responses=True), {}, "model_silent"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
async def test_what_the_model_does_not_let_happen_ends_the_call(
    start_plane: StartsPlane, faults: ModelFaults, settings: dict[str, Any], reason: str
) -> None:
    async with start_plane(faults, **settings) as plane:
        phone = await plane.streaming()
        assert await plane.failed(phone.call) == reason
        assert await phone.closed() == 1000


async def test_a_server_that_confirms_nothing_is_spoken_to_where_that_is_known_of_it(
    start_plane: StartsPlane,
) -> None:
    silent = ModelFaults(never_confirms=True)
    async with start_plane(silent, openai_session_ack=SessionAck.ASSUMED) as plane:
        await plane.converse(await plane.greeted())


async def test_a_call_goes_on_whatever_else_the_model_says(start_plane: StartsPlane) -> None:
    async with start_plane(ModelFaults(non_fatal_error=True, unknown_events=True)) as plane:
        await plane.converse(await plane.greeted())


async def test_a_slow_reader_at_the_model_delays_nobody_else(start_plane: StartsPlane) -> None:
    async with start_plane(ModelFaults(slow_reader_ms=2)) as plane:
        slow, other = await plane.greeted(), await plane.greeted()
        await slow.say(HEARTFELT)
        await plane.converse(other)
        await plane.converse(slow)


@pytest.mark.parametrize(
    "faults",
    [
        ModelFaults(close_abruptly_in_response=1),
        ModelFaults(fail_internally_in_response=1),
        ModelFaults(expire_in_response=1),
    ],
)
async def test_a_session_that_ends_in_its_sentence_is_replaced_once_after_another_until_given_up(
    start_plane: StartsPlane, faults: ModelFaults
) -> None:
    """Every session of this server ends in its first response."""
    async with start_plane(faults) as plane:
        phone = await plane.streaming()
        assert await plane.failed(phone.call) == "model_lost"
        assert await phone.closed() == 1000
        assert len(plane.model.sessions) == 1 + MAX_LOSSES


async def test_a_model_that_falls_silent_in_its_sentence_is_asked_again_in_another_session(
    start_plane: StartsPlane, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(active_response, "STALL_TIMEOUT", 0.3)
    async with start_plane(ModelFaults(stall_in_response=1)) as plane:
        phone = await plane.greeted()
        assert await plane.failed(phone.call) == "model_stalled"
        requests = [
            [f for f in session.received if f["type"] == "response.create"]
            for session in plane.model.sessions
        ]
        assert [len(each) for each in requests] == [1, 1]


@pytest.mark.parametrize("answer", [FORBIDDEN, BROKEN, NO_HTTP, NO_ANSWER], ids=repr)
async def test_a_server_that_opens_no_socket_ends_the_call(
    start_plane: StartsPlane, monkeypatch: pytest.MonkeyPatch, answer: bytes
) -> None:
    monkeypatch.setattr(reconnects, "FIRST_BACK_OFF_SECONDS", 0)
    async with bad_server(answer) as server, start_plane(openai_realtime_url=server.url) as plane:
        phone = await plane.streaming()
        assert await plane.failed(phone.call) == "model_unreachable"


async def test_a_server_that_is_not_there_ends_the_call(
    start_plane: StartsPlane, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(reconnects, "FIRST_BACK_OFF_SECONDS", 0)
    async with start_plane(openai_realtime_url=NOBODY_LISTENS) as plane:
        phone = await plane.streaming()
        assert await plane.failed(phone.call) == "model_unreachable"


# Faults of our own.


async def test_a_crash_ends_its_call_and_no_other(
    start_plane: StartsPlane, monkeypatch: pytest.MonkeyPatch
) -> None:
    handle = Bridge.handle

    def stumble(bridge: Bridge, event: BridgeEvent, now: float) -> list[BridgeCommand]:
        assert not isinstance(event, DigitPressed), "a bug"
        return handle(bridge, event, now)

    monkeypatch.setattr(Bridge, "handle", stumble)
    async with start_plane() as plane:
        other, phone = await plane.greeted(), await plane.greeted()
        await phone.send(DIGIT)
        assert await plane.failed(phone.call) == "bridge_crashed"
        assert await phone.closed() == 1000
        await plane.converse(other)


async def test_a_record_that_cannot_be_written_ends_no_call(
    start_plane: StartsPlane, monkeypatch: pytest.MonkeyPatch
) -> None:
    def stumble(turns: Iterable[tuple[str, Turn]]) -> list[tuple[str, Turn]]:
        raise ZeroDivisionError

    async with start_plane() as plane:
        monkeypatch.setattr(plane.store, "add_turns", stumble)
        other, phone = await plane.greeted(), await plane.greeted()
        await plane.converse(phone)  # its greeting is cut, and so recorded
        await phone.stop()
        assert await phone.closed() == 1000
        await until(lambda: plane.record(phone.call).activity.frames_in)
        await plane.converse(other)


async def test_a_message_that_cannot_be_stored_is_not_taken_for_stored(
    start_plane: StartsPlane, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(call_id: str, message: Message) -> None:
        error = {"Code": "ValidationException", "Message": "too large"}
        raise ClientError({"Error": error}, "PutItem")  # type: ignore[typeddict-item]

    tools = Tools(built_in=(BuiltIn.TAKE_MESSAGE,))
    async with start_plane() as plane:
        monkeypatch.setattr(plane.store, "add_message", refuse)
        phone = await plane.streaming(CallConfig(tools=tools))
        await phone.hear()
        await phone.say(HEARTFELT)
        model = await plane.session(phone.call)
        await until(lambda: "could not be stored after all" in str(model.received))


async def test_a_message_is_stored_once_the_table_is_back(
    start_plane: StartsPlane, monkeypatch: pytest.MonkeyPatch
) -> None:
    attempts: list[str] = []

    tools = Tools(built_in=(BuiltIn.TAKE_MESSAGE,))
    async with start_plane() as plane:
        add_message = plane.store.add_message

        def stumble(call_id: str, message: Message) -> None:
            attempts.append(call_id)
            if len(attempts) < 4:
                raise EndpointConnectionError(endpoint_url="https://dynamodb")
            add_message(call_id, message)

        monkeypatch.setattr(plane.store, "add_message", stumble)
        phone = await plane.streaming(CallConfig(tools=tools))
        await phone.hear()
        await phone.say(HEARTFELT)
        await until(lambda: plane.record(phone.call).messages)
        model = await plane.session(phone.call)
        assert "could not be stored after all" not in str(model.received)


class Throttled:
    """A table that takes no head of a call until it is told to."""

    def __init__(self, plane: MediaPlane, monkeypatch: pytest.MonkeyPatch) -> None:
        self.is_back, self.refused = threading.Event(), 0
        self._save = plane.store.save
        monkeypatch.setattr(plane.store, "save", self._throttle)

    def _throttle(self, call: Call) -> None:
        if self.is_back.is_set():
            return self._save(call)
        self.refused += 1
        error = {"Code": "ProvisionedThroughputExceededException", "Message": ""}
        raise ClientError({"Error": error}, "PutItem")  # type: ignore[typeddict-item]


async def test_a_hangup_does_not_wait_for_the_table_and_is_on_record_later(
    start_plane: StartsPlane, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with start_plane() as plane:
        phone = await plane.connected(plane.answered())
        await until(lambda: plane.task.carries(phone.call.call_id))
        table = Throttled(plane, monkeypatch)
        await phone.start("a codec of its own")
        await until(lambda: plane.was_hung_up(phone.call))
        assert plane.record(phone.call).call.status is CallStatus.STREAMING
        table.is_back.set()
        assert await plane.failed(phone.call) == "unsupported_codec"


async def test_a_call_that_ends_in_an_outage_is_reported_before_the_process_ends(
    start_plane: StartsPlane, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with start_plane() as plane:
        phone = await plane.greeted()
        await plane.converse(phone)
        table = Throttled(plane, monkeypatch)
        await phone.stop()
        await until(lambda: table.refused > 1)
        async with asyncio.TaskGroup() as tasks:
            draining = tasks.create_task(plane.task.drain(60))
            await until(lambda: not plane.task.has_room)
            assert not draining.done()
            table.is_back.set()
        record = plane.record(phone.call)
    assert record.activity.frames_in > 0
    assert record.activity.turns == len(record.turns)
    assert record.usages


async def test_a_lost_call_that_cannot_be_written_down_ends_no_other(
    start_plane: StartsPlane, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with start_plane(max_calls_per_task=2) as plane:
        other, phone = await plane.greeted(), await plane.greeted()
        monkeypatch.setattr(plane.store, "load", lambda call_id: 1 / 0)
        await phone.vanish()
        await until(lambda: plane.task.has_room)
        await plane.converse(other)


async def test_the_audio_does_not_wait_for_the_table(
    start_plane: StartsPlane, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with start_plane() as plane:
        add_turns = plane.store.add_turns
        with held_back() as released:

            def hang(turns: Iterable[tuple[str, Turn]]) -> list[tuple[str, Turn]]:
                released.wait()
                return add_turns(turns)

            monkeypatch.setattr(plane.store, "add_turns", hang)
            phone = await plane.greeted()
            for _ in range(2):
                await plane.converse(phone)
                await phone.hear_answer()
            await phone.stop()
            assert await phone.closed() == 1000
            assert plane.record(phone.call).turns == ()
    assert len(plane.record(phone.call).turns) == 5


async def test_a_call_whose_last_writes_are_under_way_may_be_streamed_anew(
    start_plane: StartsPlane, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with start_plane(max_calls_per_task=1) as plane:
        with held_back() as released:
            monkeypatch.setattr(plane.store, "add_turns", lambda turns: released.wait() and [])
            phone = await plane.greeted()
            await plane.converse(phone)
            await phone.stop()
            await until(lambda: not plane.task.carries(phone.call.call_id))
            assert not plane.task.has_room
        await until(lambda: plane.task.has_room)


@contextmanager
def held_back() -> Iterator[threading.Event]:
    released = threading.Event()
    try:
        yield released
    finally:
        released.set()


# While the phone rings.

GREETING = CLIPS["agent_opening_hours"].text
PREPARED = CallConfig(greeting=GREETING, stream_setup=StreamSetup.PREPARED)


async def greeting_made(plane: MediaPlane, call: Call) -> SimulatedSession:
    """And read by the bridge to its end: it is kept then."""
    session = await plane.session(call)
    await until(lambda: plane.services.speech_cache.find_greeting(PREPARED))
    return session


async def test_a_greeting_made_while_the_phone_rings_is_heard_with_the_start_and_kept(
    start_plane: StartsPlane,
) -> None:
    async with start_plane() as plane:
        call = plane.ringing(PREPARED)
        phone = await plane.connected(call)
        await greeting_made(plane, call)
        assert plane.record(call).call.status is CallStatus.DIALING
        await phone.start()
        await phone.hear()
        await plane.converse(phone)
        await phone.hang_up()
        await until(lambda: plane.services.speech_cache.find_greeting(PREPARED))

        second = await plane.streaming(PREPARED)
        await second.hear()
        model = await plane.session(second.call)
        await until(lambda: told_of_greeting(model))
        await plane.converse(second)
    record = plane.record(call)
    assert record.call.status is CallStatus.STREAMING
    assert record.call.streaming_at_ms is not None
    assert record.turns[0].who is Speaker.AGENT
    assert told_of_greeting(model) == [("assistant", "output_text", GREETING)]
    kinds = [frame["type"] for frame in model.received]
    assert "response.create" not in kinds, "the greeting was at hand"
    for frame in model.received:
        check_client(frame)


def told_of_greeting(session: SimulatedSession) -> list[tuple[str, str, str]]:
    items = [f["item"] for f in session.received if f["type"] == "conversation.item.create"]
    return [
        (item["role"], part["type"], part["text"]) for item in items for part in item["content"]
    ]


async def test_nobody_answers_and_nothing_failed(start_plane: StartsPlane) -> None:
    async with start_plane() as plane:
        call = plane.ringing(PREPARED)
        phone = await plane.connected(call)
        await greeting_made(plane, call)
        await phone.close()
        await until(lambda: plane.record(call).call.lost_stream == 1)
    ended = plane.record(call).call
    assert (ended.status, ended.fault) == (CallStatus.DIALING, None)
    assert plane.record(call).usage.output_audio > 0, "it was paid for all the same"
    assert not plane.record(call).turns
    assert not plane.telnyx.commands


async def test_a_stream_that_is_gone_when_somebody_answers_is_opened_anew(
    start_plane: StartsPlane,
) -> None:
    async with start_plane() as plane:
        call = plane.ringing(PREPARED)
        phone = await plane.connected(call)
        await greeting_made(plane, call)
        assert call.leg is not None
        plane.services.switchboard.apply(call.call_id, CallAnswered(call.leg, plane.now_ms()))
        await phone.vanish()
        await until(lambda: plane.telnyx.names == ["streaming_start"])
        again = await plane.connected(plane.record(call).call)
        await again.start()
        await again.hear()


@pytest.mark.parametrize(
    "faults",
    [ModelFaults(close_abruptly_in_response=1), ModelFaults(fail_internally_in_response=1)],
)
async def test_a_session_lost_while_the_phone_rings_is_replaced_when_somebody_answers(
    start_plane: StartsPlane, faults: ModelFaults
) -> None:
    async with start_plane(faults) as plane:
        call = plane.ringing(PREPARED)
        phone = await plane.connected(call)
        session = await plane.session(call)
        await until(lambda: session.closed)
        plane.model.faults = NO_FAULTS
        await phone.start()
        await phone.hear()
        assert len(plane.model.sessions) == 2
    assert plane.record(call).call.fault is None


# Steered from outside.


async def test_a_transfer_and_keys_go_to_telnyx_without_holding_the_audio(
    start_plane: StartsPlane,
) -> None:
    async with start_plane() as plane:
        phone = await plane.greeted()
        post(plane, phone.call, StartTransfer(to="+15550142"))
        path = f"/v2/calls/{leg_of(phone.call)}/actions/transfer"
        await until(lambda: path in dict(plane.telnyx.commands))
        body = dict(plane.telnyx.commands)[path]
        assert (body["to"], body["from"]) == ("+15550142", phone.call.from_)
        await plane.converse(phone)


async def test_the_model_is_told_of_a_transfer_that_telnyx_refuses(
    start_plane: StartsPlane,
) -> None:
    async with start_plane() as plane:
        phone = await plane.greeted()
        plane.telnyx.refusals = [(422, {"errors": [{"code": "10016", "title": "Bad number"}]})]
        post(plane, phone.call, StartTransfer(to="+15550142"))
        model = await plane.session(phone.call)
        await until(lambda: "Bad number" in str(model.received))
        record = plane.record(phone.call)
        assert record.call.status is CallStatus.STREAMING
        assert "transfer FAILED" in [entry.what for entry in record.timeline]


async def test_the_container_leaves_a_call_that_was_transferred(start_plane: StartsPlane) -> None:
    async with start_plane() as plane:
        phone = await plane.greeted()
        plane.services.switchboard.apply(phone.call.call_id, TransferRequested("+15550142"))
        plane.services.switchboard.apply(phone.call.call_id, CallTransferred(plane.now_ms()))
        assert await phone.closed() == 1000
        assert plane.telnyx.names[-1] == "streaming_stop"
        await until(lambda: plane.record(phone.call).activity.frames_out)
        assert plane.record(phone.call).call.status is CallStatus.TRANSFERRED


def post(plane: MediaPlane, call: Call, command: Steering) -> None:
    plane.mailbox.post(plane.task.task_id, call.call_id, command)


def leg_of(call: Call) -> str:
    assert call.leg is not None
    return call.leg.call_control_id


async def test_a_request_to_a_tool_ends_with_the_call(start_plane: StartsPlane) -> None:
    async with tool_server(silence, tls=False) as server:
        address = ("127.0.0.1", server.port)
        url = f"http://127.0.0.1:{server.port}/"
        tools = Tools(functions=(HttpsFunction(name="opening_hours", url=url, timeout_seconds=30),))
        async with start_plane(tool_hosts_allowed=frozenset({address})) as plane:
            phone = await plane.streaming(CallConfig(tools=tools))
            await phone.hear()
            await phone.say(HEARTFELT)
            await until(lambda: server.received)
            await phone.hang_up()
            await server.lost.wait()
    tools_used = [each.detail for each in plane.record(phone.call).timeline if each.what == "tool"]
    assert tools_used == ["opening_hours: the call ended first"]


@pytest.mark.parametrize(("warm", "command"), [(False, "transfer"), (True, "calls")])
async def test_the_model_transfers_to_whom_it_may(
    start_plane: StartsPlane, warm: bool, command: str
) -> None:
    tools = Tools(
        built_in=(BuiltIn.TRANSFER_CALL,),
        destinations=(Destination("sales", "+15550142", warm),),
    )
    async with start_plane() as plane:
        phone = await plane.streaming(CallConfig(tools=tools))
        await phone.hear()
        await phone.say(HEARTFELT)
        await until(lambda: command in plane.telnyx.names)
        [body] = [body for path, body in plane.telnyx.commands if path.endswith(f"/{command}")]
        assert body["to"] == "+15550142"
        model = await plane.session(phone.call)
        for frame in model.received:
            check_client(frame)
        assert not model.errors
        transfer = plane.record(phone.call).call.transfer
        assert transfer is not None
        assert transfer.summary == ("A new customer." if warm else "")


async def test_a_caller_who_waits_is_told_so_and_then_what_was_found(
    start_plane: StartsPlane,
) -> None:
    told = asyncio.Event()

    async def reply(connection: Connection) -> None:
        await told.wait()
        await answer(200, CLIPS["agent_booked"].text.encode(), "text/plain")(connection)

    async with tool_server(reply, tls=False) as server:
        url, filler = f"http://127.0.0.1:{server.port}/", CLIPS["agent_which_day"].text
        function = HttpsFunction(name="opening_hours", url=url, timeout_seconds=30, filler=filler)
        hosts = frozenset({("127.0.0.1", server.port)})
        async with start_plane(tool_hosts_allowed=hosts) as plane:
            phone = await plane.streaming(CallConfig(tools=Tools(functions=(function,))))
            await phone.hear()
            await phone.say(HEARTFELT)
            model = await plane.session(phone.call)
            said = model.said
            await until(lambda: CLIPS["agent_which_day"] in [each.clip for each in said])
            told.set()
            await until(lambda: CLIPS["agent_booked"] in [each.clip for each in said])
        assert [each.clip.name for each in said][-3:] == [
            "agent_one_moment",
            "agent_which_day",
            "agent_booked",
        ]
        assert not model.errors
