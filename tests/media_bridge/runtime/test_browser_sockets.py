"""Browser calls on a real container: both codecs, every end, and who is let in."""

from dataclasses import replace

import numpy as np
import pytest

from media_bridge.runtime import server
from phonebridge import stream_token
from phonebridge.call.call import Call, CallStatus, EndedBy, Outcome
from phonebridge.call.config import CallConfig
from phonebridge.call.events import EndRequested
from phonebridge.call.steering import Interrupt, SayGoodbye
from phonebridge.call.tools import BuiltIn, Tools
from phonebridge.settings import ModelAudio
from phonebridge.stream_token import LIFETIME_SECONDS
from simulators.audio.speech import CLIPS
from simulators.scenario import ECHO
from tests.support.browsers import (
    CONFIG,
    Browser,
    dial_in,
    opened,
    streaming,
    token_of,
    with_next_stream,
)
from tests.support.media_phone import Frame
from tests.support.media_plane import SECRET, MediaPlane, StartsPlane
from tests.support.waiting import until

GREETING = replace(CONFIG, greeting="Good morning!")


async def ended_call(plane: MediaPlane, call: Call) -> Call:
    await until(lambda: plane.record(call).call.status is CallStatus.ENDED)
    return plane.record(call).call


def record_of(plane: MediaPlane, call: Call) -> tuple[Outcome | None, str | None]:
    found = plane.record(call).call
    return found.outcome, found.reason


# The conversation.


@pytest.mark.parametrize("encoding", ["PCMU", "L16"])
async def test_a_browser_talks_with_the_model(start_plane: StartsPlane, encoding: str) -> None:
    async with start_plane(model_audio=ModelAudio.PCM24K) as plane:
        call = opened(plane, config=replace(GREETING, codec=encoding))
        browser = await streaming(plane, call, encoding)
        await browser.hear("transcript", is_final=True, speaker="agent")
        await browser.say("caller_opening_hours")
        heard = await browser.hear("transcript", is_final=True, speaker="caller")
        assert heard["text"] == CLIPS["caller_opening_hours"].text
        await browser.hear()
        sound = browser.heard_samples().astype(float)
        assert np.sqrt((sound**2).mean()) > 300, "speech, not noise of a wrong byte order"
        await browser.stop()
        assert await browser.closed() == 1000
        await ended_call(plane, call)
        assert record_of(plane, call) == (Outcome.COMPLETED, "caller_hung_up")
        record = plane.record(call)
        assert {turn.who for turn in record.turns} == {"agent", "caller"}
        assert record.usage.responses > 0
        assert plane.telnyx.commands == []


async def test_a_client_that_ignores_the_added_frames_has_those_of_telnyx(
    start_plane: StartsPlane,
) -> None:
    async with start_plane() as plane:
        call = opened(plane, config=CallConfig(greeting="Good morning!"))
        browser = await streaming(plane, call)
        await browser.hear("mark")
        await browser.stop()
        assert await browser.closed() == 1000
        assert {frame["event"] for frame in browser.frames} <= {"media", "mark", "clear"}


async def test_the_browser_is_shown_its_call(start_plane: StartsPlane) -> None:
    async with start_plane() as plane:
        browser = await streaming(plane, opened(plane, config=GREETING))
        await browser.hear("transcript", is_final=True)
        await browser.say("caller_opening_hours")
        await browser.hear("latency")
        await browser.hear("transcript", is_final=True, speaker="agent")
        await browser.stop()
        await browser.closed()
        states = [state["name"] for state in browser.bodies("state")]
        assert states[0] == "connecting"
        assert states[-1] == "ended"
        assert {"listening", "thinking", "speaking"} < set(states)
        assert all(one != next_ for one, next_ in zip(states, states[1:], strict=False))
        assert browser.bodies("state")[-1] == {"name": "ended", "reason": "caller_hung_up"}
        assert all(latency["milliseconds"] >= 0 for latency in browser.bodies("latency"))


async def test_the_words_of_a_turn_grow_under_one_id(start_plane: StartsPlane) -> None:
    async with start_plane() as plane:
        browser = await streaming(plane, opened(plane, config=GREETING))
        final = await browser.hear("transcript", is_final=True)
        so_far = [each for each in browser.bodies("transcript") if not each["is_final"]]
        assert so_far
        assert {each["item_id"] for each in so_far} == {final["item_id"]}
        assert all(final["text"].startswith(each["text"].rstrip()) for each in so_far)


async def test_the_simulated_model_repeats_to_a_browser_what_it_heard(
    start_plane: StartsPlane,
) -> None:
    async with start_plane(scenario=ECHO, model_audio=ModelAudio.PCM24K) as plane:
        browser = await streaming(plane, opened(plane, config=GREETING))
        await browser.hear("transcript", is_final=True)
        await browser.say("caller_opening_hours")
        answer = await browser.hear("transcript", is_final=True, speaker="agent")
        assert answer["text"].startswith("You said:")
        assert CLIPS["caller_opening_hours"].text in answer["text"]


async def test_a_key_of_the_keypad_stops_the_agent_and_is_a_turn(start_plane: StartsPlane) -> None:
    async with start_plane() as plane:
        browser = await streaming(plane, opened(plane, config=GREETING))
        await browser.hear()
        await browser.send({"event": "dtmf", "dtmf": {"digit": "5"}})
        await browser.send({"event": "dtmf", "dtmf": {"digit": "#"}})
        heard = await browser.hear("transcript", is_final=True, speaker="caller")
        assert "5" in heard["text"]
        assert {"event": "clear"} in browser.frames


async def test_an_interruption_clears_the_browser_and_tells_what_was_unheard(
    start_plane: StartsPlane,
) -> None:
    async with start_plane() as plane:
        call = opened(plane, config=GREETING)
        browser = await streaming(plane, call)
        await browser.hear()
        plane.mailbox.post("task-1", call.call_id, Interrupt())
        cut = await browser.hear("transcript", is_final=True, speaker="agent")
        assert {"event": "clear"} in browser.frames
        await until(lambda: plane.record(call).turns)
        [turn] = plane.record(call).turns
        assert turn.interrupted
        assert (cut["text"], cut["unheard"]) == (turn.text, turn.unheard)


async def test_tools_are_shown_to_whom_has_asked_for_them(start_plane: StartsPlane) -> None:
    tools = Tools(built_in=(BuiltIn.TAKE_MESSAGE,))
    async with start_plane() as plane:
        browser = await streaming(plane, opened(plane, config=replace(CONFIG, tools=tools)))
        await browser.hear()
        await browser.say("caller_opening_hours")
        shown = await browser.hear("tool", name="take_message")
        assert shown["output"] is None
        done = await browser.hear("tool", call_id=shown["call_id"])
        assert done == {**shown, "output": '{"status":"stored"}'}


# The end.


async def test_the_api_ends_a_browser_call(start_plane: StartsPlane) -> None:
    async with start_plane() as plane:
        call = opened(plane)
        browser = await streaming(plane, call)
        await browser.hear()
        by_api = EndRequested(EndedBy.API, plane.now_ms())
        plane.services.switchboard.apply(call.call_id, by_api)
        assert await browser.closed() == 1000
        assert browser.bodies("state")[-1] == {"name": "ended", "reason": "ended_by_api"}
        assert (await ended_call(plane, call)).reason == "ended_by_api"
        assert plane.telnyx.commands == []


async def test_the_last_sentence_is_heard_before_the_call_ends(start_plane: StartsPlane) -> None:
    async with start_plane() as plane:
        call = opened(plane)
        browser = await streaming(plane, call)
        await browser.hear("transcript", is_final=True)
        plane.mailbox.post("task-1", call.call_id, SayGoodbye("Goodbye!"))
        await browser.hear("transcript", is_final=True, speaker="agent")
        assert await browser.closed() == 1000
        assert (await ended_call(plane, call)).reason == "ended_by_api"


async def test_the_model_ends_a_browser_call(start_plane: StartsPlane) -> None:
    tools = Tools(built_in=(BuiltIn.END_CALL,))
    async with start_plane() as plane:
        call = opened(plane, config=replace(CONFIG, tools=tools))
        browser = await streaming(plane, call)
        await browser.hear()
        await browser.say("caller_farewell")
        await browser.hear("state", name="ended", reason="ended_by_agent")
        assert await browser.closed() == 1000
        assert (await ended_call(plane, call)).reason == "ended_by_agent"


async def test_a_browser_that_closes_its_socket_in_order_has_hung_up(
    start_plane: StartsPlane,
) -> None:
    async with start_plane(browser_return_seconds=3600.0) as plane:
        call = opened(plane)
        browser = await streaming(plane, call)
        await browser.hear()
        await browser.close(1000)
        assert (await ended_call(plane, call)).reason == "caller_hung_up"


@pytest.mark.parametrize("encoding", ["L16", "PCMA", "OPUS"])
async def test_another_codec_than_the_call_was_created_with_is_refused(
    start_plane: StartsPlane, encoding: str
) -> None:
    async with start_plane() as plane:
        call = opened(plane)
        browser = await dial_in(plane, call)
        await browser.connected(token_of(plane, call))
        await browser.start(encoding)
        assert await browser.closed() == 1011
        assert browser.bodies("state")[-1] == {"name": "ended", "reason": "unsupported_codec"}
        assert (await ended_call(plane, call)).reason == "unsupported_codec"


# A lost socket.


@pytest.mark.parametrize("code", [None, 1001, 3000])
async def test_a_browser_that_does_not_come_back_is_not_waited_for(
    start_plane: StartsPlane, code: int | None
) -> None:
    async with start_plane(browser_return_seconds=0.1) as plane:
        call = opened(plane)
        browser = await streaming(plane, call)
        await browser.hear()
        await (browser.close(code) if code else browser.vanish())
        assert (await ended_call(plane, call)).reason == "browser_lost"
        assert plane.record(call).call.outcome is Outcome.COMPLETED


async def test_a_browser_comes_back_on_the_next_stream(start_plane: StartsPlane) -> None:
    async with start_plane(browser_return_seconds=1.0) as plane:
        call = opened(plane)
        lost = await streaming(plane, call)
        await lost.hear()
        await lost.vanish()
        await until(lambda: plane.record(call).call.left_stream == 1)
        browser = await streaming(plane, with_next_stream(plane, call))
        await browser.hear()
        await browser.say("caller_opening_hours")
        await browser.hear("transcript", is_final=True, speaker="caller")
        await browser.stop()
        assert (await ended_call(plane, call)).reason == "caller_hung_up"
        turns = plane.record(call).turns
        assert {turn.stream_number for turn in turns} == {1, 2}
        assert len(plane.record(call).usages) == 2


async def test_the_next_stream_takes_the_call_from_one_that_hangs(
    start_plane: StartsPlane,
) -> None:
    async with start_plane() as plane:
        call = opened(plane)
        hanging = await streaming(plane, call)
        await hanging.hear()
        browser = await streaming(plane, with_next_stream(plane, call))
        assert await hanging.closed() == 4409
        await browser.hear()
        await browser.stop()
        assert (await ended_call(plane, call)).reason == "caller_hung_up"


async def test_a_call_moves_to_another_container_by_its_browser(
    start_plane: StartsPlane,
) -> None:
    async with start_plane(browser_return_seconds=3600.0) as plane:
        call = opened(plane)
        moved = await streaming(plane, call)
        await moved.hear()
        plane.task._sessions[call.call_id].move()
        assert await moved.closed() == 1012
        browser = await streaming(plane, with_next_stream(plane, call))
        await browser.hear("state", name="listening")
        await browser.stop()
        assert (await ended_call(plane, call)).reason == "caller_hung_up"
        assert plane.telnyx.commands == []


# Who is let in.


def expired_token(plane: MediaPlane, call: Call) -> str:
    long_ago = plane.now_ms() - LIFETIME_SECONDS * 1000 - 1000
    return stream_token.issue(SECRET, call.call_id, 1, long_ago)


def of_another_call(plane: MediaPlane, call: Call) -> str:
    return token_of(plane, opened(plane, "call-2"))


def of_the_next_stream(plane: MediaPlane, call: Call) -> str:
    return stream_token.issue(SECRET, call.call_id, 2, plane.now_ms())


@pytest.mark.parametrize(
    "token", [expired_token, of_another_call, of_the_next_stream, lambda *_: "x"]
)
async def test_a_bad_token_is_refused(start_plane: StartsPlane, token: object) -> None:
    assert callable(token)
    async with start_plane() as plane:
        call = opened(plane)
        browser = await dial_in(plane, call)
        await browser.connected(token(plane, call))
        assert await browser.closed() == 4401
        assert plane.record(call).call == call
        assert plane.model.sessions == []


@pytest.mark.parametrize(
    "frame",
    [
        "garbage",
        "[]",
        {"event": "connected", "version": "1.0.0"},
        {"event": "connected", "token": 7},
        {"event": "connected", "token": ""},
        {"event": "start", "start": {"media_format": {"encoding": "PCMU"}}},
        {"event": "media", "media": {"payload": "////"}},
    ],
    ids=str,
)
async def test_a_first_frame_without_a_token_is_refused(
    start_plane: StartsPlane, frame: Frame | str
) -> None:
    async with start_plane() as plane:
        call = opened(plane)
        browser = await dial_in(plane, call)
        await browser.send(frame)
        assert await browser.closed() == 4401
        assert plane.record(call).call == call


async def test_a_browser_that_says_nothing_is_not_waited_for(
    start_plane: StartsPlane, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(server, "TOKEN_TIMEOUT_SECONDS", 0.1)
    async with start_plane() as plane:
        browser = await dial_in(plane, opened(plane))
        assert await browser.closed() == 4401


async def test_a_token_opens_one_socket(start_plane: StartsPlane) -> None:
    async with start_plane() as plane:
        call = opened(plane)
        browser = await streaming(plane, call)
        await browser.hear()
        second = await dial_in(plane, call)
        await second.connected(token_of(plane, call))
        assert await second.closed() == 4409
        await browser.stop()
        await ended_call(plane, call)
        third = await dial_in(plane, call)
        await third.connected(token_of(plane, call))
        assert await third.closed() == 4401


async def test_a_call_that_was_ended_before_its_browser_came_is_refused(
    start_plane: StartsPlane,
) -> None:
    async with start_plane() as plane:
        call = opened(plane)
        token = token_of(plane, call)
        plane.services.switchboard.apply(call.call_id, EndRequested(EndedBy.API, plane.now_ms()))
        browser = await dial_in(plane, call)
        await browser.connected(token)
        assert await browser.closed() == 4401
        assert record_of(plane, call) == (Outcome.CANCELED, "ended_by_api")


async def test_a_full_container_says_so(start_plane: StartsPlane) -> None:
    async with start_plane(max_calls_per_task=1) as plane:
        first: Browser = await streaming(plane, opened(plane))
        await first.hear()
        call = opened(plane, "call-2")
        browser = await dial_in(plane, call)
        await browser.connected(token_of(plane, call))
        assert await browser.closed() == 1013
        assert plane.record(call).call == call, "its token can be used elsewhere"
