"""What follows when a call loses its media stream, and that two agents never speak on one call."""

from contextlib import suppress
from dataclasses import replace
from itertools import permutations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from phonebridge.call.call import (
    FAREWELL,
    MAX_FAILURES,
    MAX_STREAMS,
    Call,
    CallStatus,
    EndedBy,
    Fault,
    Hangup,
)
from phonebridge.call.commands import InformCaller, StartStreaming, StopStreaming
from phonebridge.call.events import (
    AnnouncementEnded,
    CallAnswered,
    CallerInformed,
    CallEvent,
    CallFailed,
    CallHungUp,
    CallRequested,
    DialAccepted,
    EndRequested,
    LastStreamEnding,
    MediaAttached,
    MediaReported,
    NextStreamRequested,
    StreamClosed,
    StreamingFailed,
    StreamingStopped,
    StreamsGivenUp,
)
from phonebridge.call.owed import is_repetition, wanted_commands
from phonebridge.call.streams import MAX_FAILURES_AT_ONCE, has_ended_announcement, is_stale
from phonebridge.call.transfer import CallTransferred, TargetHungUp, TransferRequested
from phonebridge.errors import InvalidTransition
from tests.support.calls import LEG, NOW_MS, after, outbound_call, sent, unasked

HUNG_UP = CallHungUp(LEG, Hangup("normal_clearing", "caller", 90_000))
TRANSFER = TransferRequested("+15550142")
FIRST = (StreamClosed(1), StreamingStopped(1))

PARKED = MAX_FAILURES_AT_ONCE + 1
"""The stream that parks a call whose first one was lost."""


def claim_of(number: int, task: str = "task-1") -> MediaAttached:
    return MediaAttached(number, task, 6_000)


def failure_of(number: int) -> StreamingFailed:
    return StreamingFailed(Fault("streaming_failed", "connection_failed", 50_000), number)


def failures_after(number: int) -> list[StreamingFailed]:
    """Return as many failures in a row as park the call."""
    return [failure_of(number + failed) for failed in range(1, MAX_FAILURES_AT_ONCE + 1)]


def streaming() -> Call:
    answered = CallAnswered(LEG, 5_000)
    return after(outbound_call(), CallRequested(), DialAccepted(LEG), answered, claim_of(1))


# Reports of the carrier.


@pytest.mark.parametrize("lost", [StreamingStopped(1), failure_of(1)])
def test_a_stream_that_the_carrier_has_closed_is_replaced_at_once(lost: CallEvent) -> None:
    assert sent(streaming(), lost) == [StartStreaming(2)]
    call = after(streaming(), lost, claim_of(2, "task-2"))
    assert (call.status, call.owner_task, call.attached_stream) == ("streaming", "task-2", 2)
    assert call.streaming_at_ms == 6_000, "the conversation has gone on since then"
    assert after(call, HUNG_UP).fault is None


def test_news_of_an_old_stream_change_nothing() -> None:
    call = after(streaming(), StreamingStopped(1), claim_of(2))
    for old in (StreamingStopped(1), failure_of(1), NextStreamRequested(1), MediaReported(1)):
        assert sent(call, old) == []
        assert after(call, old).stream_number == 2
        assert not after(call, old).has_lost_media


def test_a_stream_that_stops_because_the_call_ends_is_not_missed() -> None:
    assert sent(after(streaming(), HUNG_UP), StreamingStopped(1)) == []
    ending = after(streaming(), EndRequested(EndedBy.AGENT, 9_000))
    assert sent(ending, StreamingStopped(1)) == []
    assert after(ending, StreamingStopped(1)).stream_number == 1
    first = after(streaming(), StreamingStopped(1), HUNG_UP)
    last = after(streaming(), HUNG_UP, StreamingStopped(1))
    assert replace(unasked(first), version=0) == replace(unasked(last), version=0)


def test_a_stream_that_stops_because_of_a_transfer_is_missed_only_if_the_transfer_fails() -> None:
    call = after(streaming(), TRANSFER)
    assert StartStreaming(2) not in sent(call, StreamingStopped(1), CallTransferred(60_000))
    stopped = after(call, StreamingStopped(1))
    assert StartStreaming(2) in sent(stopped, TargetHungUp(1, "user_busy"))


# Our side asks.


def test_the_carrier_closes_a_stream_before_it_opens_the_next_one() -> None:
    assert sent(streaming(), NextStreamRequested(1)) == [StopStreaming(1)]
    call = after(streaming(), NextStreamRequested(1))
    for closed in FIRST:
        assert sent(call, closed) == [StartStreaming(2)]
    assert sent(call, NextStreamRequested(1)) == [StopStreaming(1)], "it is still owed"


def test_of_two_that_ask_for_the_next_stream_the_slower_changes_nothing() -> None:
    call = after(streaming(), NextStreamRequested(1), StreamClosed(1))
    assert after(call, NextStreamRequested(1)) == call


@pytest.mark.parametrize("order", [*permutations((NextStreamRequested(1), *FIRST))])
def test_webhook_and_observer_together_ask_for_one_stream(order: tuple[CallEvent, ...]) -> None:
    call = after(streaming(), *order)
    assert call.stream_number == 2
    assert StartStreaming(2) in sent(streaming(), *order)
    assert StartStreaming(3) not in sent(streaming(), *order)


def test_a_stream_that_its_container_has_stopped_for_the_last_words_is_not_missed() -> None:
    """The model is lost for good, and the carrier says goodbye."""
    call = after(streaming(), LastStreamEnding(1))
    assert sent(call, StreamingStopped(1), MediaReported(1), NextStreamRequested(1)) == []
    assert after(call, StreamingStopped(1), HUNG_UP).reason == "caller_hung_up"
    assert not is_stale(after(call, StreamingStopped(1)), 1), "its container ends the call"
    later = after(streaming(), StreamingStopped(1), claim_of(2), LastStreamEnding(1))
    assert sent(later, StreamingStopped(2)) == [StartStreaming(3)], "said of an old stream"


# No task is left.


def test_a_caller_whom_no_task_can_take_hears_the_carrier_once_and_waits() -> None:
    waits = NextStreamRequested(1, has_room=False)
    assert sent(streaming(), waits, StreamClosed(1), CallerInformed(1)) == [
        StopStreaming(1),
        InformCaller(1),
    ]
    call = after(streaming(), waits, StreamClosed(1), CallerInformed(1))
    assert call.is_parked
    assert sent(call, waits, StreamingStopped(1)) == []
    assert sent(call, NextStreamRequested(1)) == [StartStreaming(2)], "a task is there again"


def test_streams_that_fail_one_after_the_other_are_not_wasted() -> None:
    """A balancer may send sockets to a dead task for some seconds."""
    asked = sent(streaming(), StreamingStopped(1), *failures_after(1))
    starts = [StartStreaming(number) for number in range(2, PARKED + 1)]
    assert asked == [*starts, InformCaller(PARKED, is_retry=True)]
    call = after(streaming(), StreamingStopped(1), *failures_after(1))
    assert sent(call, NextStreamRequested(PARKED)) == [StartStreaming(PARKED + 1)]


def test_a_call_that_loses_its_last_stream_hears_a_goodbye() -> None:
    call = streaming()
    for number in range(1, MAX_STREAMS):
        call = after(call, StreamingStopped(number), claim_of(number + 1))
    goodbye = InformCaller(MAX_STREAMS, is_goodbye=True)
    assert sent(call, StreamingStopped(MAX_STREAMS)) == [goodbye]
    last = NextStreamRequested(MAX_STREAMS)
    assert sent(call, last, StreamClosed(MAX_STREAMS)) == [StopStreaming(MAX_STREAMS), goodbye]


def test_streams_that_failed_to_open_do_not_count_once_another_one_has_carried_audio() -> None:
    call = streaming()
    for round_ in range(1, MAX_STREAMS):
        number = call.stream_number
        call = after(call, StreamingStopped(number), *failures_after(number))
        last = number + MAX_FAILURES_AT_ONCE
        call = after(call, NextStreamRequested(last), claim_of(last + 1))
        assert call.carried_streams == round_ + 1
        assert not call.is_parked


def test_a_call_whose_streams_fail_again_and_again_hears_a_goodbye() -> None:
    call = after(streaming(), StreamingStopped(1), *failures_after(1))
    for number in range(PARKED, MAX_FAILURES + 1):
        call = after(call, NextStreamRequested(number))
        assert call.stream_number == number + 1
        call = after(call, failure_of(number + 1))
    assert call.status is CallStatus.STREAMING
    assert InformCaller(MAX_FAILURES + 1, is_goodbye=True) in wanted_commands(call)


def test_the_words_to_a_parked_caller_are_over_when_the_carrier_says_so() -> None:
    parked = after(streaming(), StreamingStopped(1), *failures_after(1))
    assert parked.spoken_stream == 0
    assert after(parked, AnnouncementEnded(PARKED)).spoken_stream == PARKED
    assert after(parked, CallerInformed(PARKED), AnnouncementEnded()).spoken_stream == PARKED
    assert after(streaming(), AnnouncementEnded()) == streaming(), "words of an earlier moment"


def test_words_that_end_again_or_late_do_not_count_for_the_next_announcement() -> None:
    parked = after(streaming(), StreamingStopped(1), *failures_after(1))
    first = after(parked, CallerInformed(PARKED), AnnouncementEnded(PARKED))
    retried = after(first, NextStreamRequested(PARKED))
    second = after(retried, failure_of(PARKED + 1), CallerInformed(PARKED + 1))
    for late in (AnnouncementEnded(PARKED), AnnouncementEnded()):
        assert after(second, late) == second
        assert not has_ended_announcement(second)
    assert has_ended_announcement(after(second, AnnouncementEnded(PARKED + 1)))


def test_a_call_that_is_given_up_hears_one_farewell() -> None:
    waits = (NextStreamRequested(1, has_room=False), StreamClosed(1), CallerInformed(1))
    farewell = InformCaller(FAREWELL, is_goodbye=True)
    call = after(streaming(), *waits)
    assert sent(call, StreamsGivenUp(1), CallerInformed(FAREWELL)) == [farewell]
    assert sent(call, StreamsGivenUp(1), HUNG_UP) == [farewell]


# Two agents never speak on one call.


@pytest.mark.parametrize(
    ("at_ms", "may_end"), [(NOW_MS - 500, True), (NOW_MS, True), (NOW_MS + 1, False)]
)
def test_a_container_may_still_write_that_it_has_ended_the_call_before_the_stream_was_lost(
    at_ms: int, may_end: bool
) -> None:
    """It hung up without waiting for the table, and the carrier closed the stream."""
    fault = CallFailed(Fault("model_silent", "no reply", at_ms))
    for event in (EndRequested(EndedBy.AGENT, at_ms), fault):
        lost = after(streaming(), StreamingStopped(1))
        assert is_stale(lost, 1, event) is not may_end
        assert is_stale(after(lost, claim_of(2)), 1, event), "another container has the call"
    assert after(lost, fault, HUNG_UP).reason == "model_silent"


def test_a_container_whose_stream_was_lost_or_replaced_may_change_the_call_no_more() -> None:
    assert not is_stale(streaming(), 1)
    lost = after(streaming(), StreamingStopped(1))
    assert is_stale(lost, 1)
    assert not is_stale(lost, 2)
    assert is_stale(after(lost, claim_of(2)), 1)
    assert not is_stale(lost, None), "whoever is no container"


def test_a_stream_that_was_given_up_can_not_be_claimed_any_more() -> None:
    call = after(streaming(), StreamingStopped(1), NextStreamRequested(2))
    with pytest.raises(InvalidTransition):
        after(call, claim_of(2))


CLAIMS = [claim_of(n, task) for n in range(1, MAX_STREAMS + 1) for task in ("task-1", "task-2")]
EVENTS: list[CallEvent] = [
    *CLAIMS,
    *(StreamingStopped(number) for number in range(1, MAX_STREAMS + 1)),
    *(failure_of(number) for number in range(1, MAX_STREAMS)),
    *(NextStreamRequested(n, has_room) for n in (1, 2, 3, 4, 5) for has_room in (True, False)),
    *(StreamClosed(number) for number in range(1, MAX_STREAMS + 1)),
    *(MediaReported(number) for number in range(1, MAX_STREAMS + 1)),
    CallerInformed(1),
    *(AnnouncementEnded(number) for number in (None, 1, 2, 3, FAREWELL)),
    TRANSFER,
    TargetHungUp(1, "user_busy"),
    CallTransferred(60_000),
    HUNG_UP,
]


@given(st.lists(st.sampled_from(EVENTS), max_size=40))
def test_at_most_one_container_may_speak_at_any_time(events: list[CallEvent]) -> None:
    """A container that has claimed a stream is silent from the moment at which the next one is
    needed."""
    call, claims = streaming(), {1}
    for event in events:
        with suppress(InvalidTransition):
            call = after(call, event)
            if isinstance(event, MediaAttached) and call.attached_stream == event.stream_number:
                claims.add(event.stream_number)
        may_act = [number for number in claims if not is_stale(call, number)]
        assert len(may_act) <= 1
        assert call.attached_stream == max(claims) or call.status is CallStatus.ENDED


@given(st.lists(st.sampled_from(EVENTS), max_size=40))
def test_every_repeated_or_late_end_of_an_announcement_changes_nothing(
    events: list[CallEvent],
) -> None:
    call = streaming()
    for event in events:
        with suppress(InvalidTransition):
            call = after(call, event)
        if call.spoken_stream:
            for number in (None, *range(1, call.spoken_stream + 1)):
                repeated = AnnouncementEnded(number)
                assert after(call, repeated) == call
                assert not is_repetition(repeated, call), "so nothing is sent again"


@given(st.lists(st.sampled_from(EVENTS), max_size=40))
def test_no_stream_is_opened_twice_and_none_while_another_one_is_to_be_closed(
    events: list[CallEvent],
) -> None:
    call, started = streaming(), [1]
    for event in events:
        with suppress(InvalidTransition):
            asked = sent(call, event)
            before, call = call, after(call, event)
            new = [each for each in asked if isinstance(each, StartStreaming) and call != before]
            for each in new:
                if each.stream_number != started[-1]:
                    started.append(each.stream_number)
                assert call.closing_stream <= call.closed_stream
    assert started == sorted(set(started))
    assert started[-1] <= call.attached_stream + MAX_FAILURES
