"""Browser calls: stories, and the laws that hold in whatever order their events are written."""

from collections.abc import Iterator, Sequence
from contextlib import suppress
from dataclasses import replace
from itertools import permutations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from phonebridge.call.call import MAX_STREAMS, Call, CallStatus, EndedBy, Fault, Outcome
from phonebridge.call.commands import ReportEnd
from phonebridge.call.events import (
    BrowserCallRequested,
    CallEvent,
    CallFailed,
    DigitsRequested,
    EndRequested,
    MediaAttached,
    MediaReported,
    StreamRequested,
)
from phonebridge.call.overdue import (
    BROWSER_TIMEOUT_MS,
    RETURN_TIMEOUT_MS,
    overdue,
)
from phonebridge.call.owed import FINAL_AFTER_MS, REPEAT_AFTER_MS, owed_commands, wanted_commands
from phonebridge.call.reports import report_of
from phonebridge.call.steering import EndCallNow
from phonebridge.call.streams import is_stale
from phonebridge.call.transfer import TransferRequested
from phonebridge.errors import InvalidTransition
from tests.support.calls import NOW_MS, after, browser_call, outbound_call, sent, unasked

ATTACHED = MediaAttached(1, "task-1", 6_000)
REATTACHED = MediaAttached(2, "task-2", 20_000)
REPORTED = MediaReported(1)
BY_API = EndRequested(EndedBy.API, 30_000)
BY_CALLER = EndRequested(EndedBy.CALLER, 40_000)
LOST = EndRequested(EndedBy.BROWSER_LOST, 50_000)
FAULT = CallFailed(Fault("model_timeout", "the model session did not become ready", 8_000))
MAX_CALL_MS = 1_800_000


def opened_call() -> Call:
    return after(browser_call(), BrowserCallRequested())


def streaming() -> Call:
    return after(opened_call(), ATTACHED)


def sweep(call: Call, now_ms: int, *, is_task_lost: bool = False) -> CallEvent | None:
    return overdue(call, is_task_lost=is_task_lost, max_call_ms=MAX_CALL_MS, now_ms=now_ms)


# Stories.


def test_a_browser_call_from_its_creation_to_the_goodbye() -> None:
    call = opened_call()
    assert (call.status, call.stream_number) == (CallStatus.CREATED, 1)
    call = after(call, ATTACHED)
    assert (call.status, call.answered_at_ms, call.streaming_at_ms) == (
        CallStatus.STREAMING,
        6_000,
        6_000,
    )
    call = after(call, BY_CALLER, REPORTED)
    assert call.status is CallStatus.ENDED
    assert (call.outcome, call.reason) == (Outcome.COMPLETED, "caller_hung_up")
    assert (call.ended_at_ms, call.talk_ms) == (40_000, 34_000)
    assert not call.may_be_up


def test_no_command_of_a_browser_call_goes_to_a_carrier() -> None:
    events = (BrowserCallRequested(), ATTACHED, REPORTED, StreamRequested(), REATTACHED, BY_API)
    assert sent(browser_call(), *events) == [ReportEnd()]
    assert sent(streaming(), FAULT) == [ReportEnd()]


def test_a_call_whose_browser_has_not_come_yet_ends_at_once() -> None:
    call = after(opened_call(), BY_API)
    assert (call.status, call.outcome, call.reason) == (
        CallStatus.ENDED,
        Outcome.CANCELED,
        "ended_by_api",
    )
    assert call.talk_ms == 0
    with pytest.raises(InvalidTransition):
        after(call, ATTACHED)


def test_the_end_by_the_api_waits_for_the_container() -> None:
    call = after(streaming(), BY_API)
    assert call.status is CallStatus.STREAMING
    assert wanted_commands(call) == (ReportEnd(),)
    call = after(call, REPORTED)
    assert (call.status, call.reason) == (CallStatus.ENDED, "ended_by_api")
    assert wanted_commands(call) == ()


def test_the_container_is_told_of_the_end_until_it_reports() -> None:
    call = after(streaming(), BY_API)
    assert owed_commands(call, NOW_MS + REPEAT_AFTER_MS - 1) == ()
    assert owed_commands(call, NOW_MS + REPEAT_AFTER_MS) == (ReportEnd(),)
    first, again = report_of(ReportEnd(), call), report_of(ReportEnd(), after(call, BY_API))
    assert first == again
    assert first
    assert first.message == EndCallNow()


@pytest.mark.parametrize("by", [EndedBy.AGENT, EndedBy.CALLER, EndedBy.MAX_DURATION])
def test_a_container_that_asks_for_the_end_itself_is_not_told(by: EndedBy) -> None:
    assert sent(streaming(), EndRequested(by, 30_000)) == []


def test_a_browser_that_comes_back_gets_the_next_stream() -> None:
    call = after(streaming(), REPORTED)
    assert call.status is CallStatus.STREAMING
    call = after(call, StreamRequested(), StreamRequested())
    assert call.stream_number == 2
    call = after(call, REATTACHED)
    assert (call.owner_task, call.streaming_at_ms) == ("task-2", 6_000)
    assert is_stale(call, 1), "what the first container still writes changes nothing"
    assert after(call, BY_CALLER, MediaReported(2)).outcome is Outcome.COMPLETED


def test_the_next_stream_may_open_before_the_lost_one_is_reported() -> None:
    call = after(streaming(), StreamRequested(), REATTACHED, REPORTED)
    assert call.has_container
    assert after(call, BY_API).status is CallStatus.STREAMING
    assert after(call, BY_API, MediaReported(2)).status is CallStatus.ENDED


def test_a_browser_that_does_not_come_back_has_left() -> None:
    call = after(streaming(), REPORTED, LOST)
    assert (call.outcome, call.reason, call.ended_at_ms) == (
        Outcome.COMPLETED,
        "browser_lost",
        50_000,
    )


def test_a_call_gets_five_streams() -> None:
    call = streaming()
    for number in range(2, MAX_STREAMS + 1):
        call = after(call, StreamRequested(), MediaAttached(number, "task-1", number * 10_000))
    with pytest.raises(InvalidTransition, match="5 streams"):
        after(call, StreamRequested())


@pytest.mark.parametrize(
    ("call", "event"),
    [
        (after(streaming(), BY_API), StreamRequested()),
        (after(streaming(), StreamRequested(), BY_API), REATTACHED),
        (after(streaming(), BY_CALLER, REPORTED), StreamRequested()),
        (streaming(), ATTACHED),
        (streaming(), REATTACHED),
        (replace(streaming(), direction=outbound_call().direction), StreamRequested()),
        (streaming(), TransferRequested("+15550142")),
        (streaming(), DigitsRequested("1", 250)),
    ],
)
def test_what_a_browser_call_cannot_do_is_refused(call: Call, event: CallEvent) -> None:
    if event == ATTACHED:
        event = replace(ATTACHED, at_ms=7_000)
    with pytest.raises(InvalidTransition):
        after(call, event)


def test_a_fault_ends_the_call_at_once() -> None:
    call = after(streaming(), FAULT)
    assert (call.status, call.outcome, call.reason) == (
        CallStatus.ENDED,
        Outcome.FAILED,
        "model_timeout",
    )
    assert after(call, REPORTED, LOST, BY_API).reason == "model_timeout"


# The sweep.


def test_a_call_whose_browser_never_comes_is_canceled() -> None:
    call = replace(opened_call(), changed_at_ms=NOW_MS)
    assert sweep(call, NOW_MS + BROWSER_TIMEOUT_MS) is None
    event = sweep(call, NOW_MS + BROWSER_TIMEOUT_MS + 1)
    assert event
    ended = after(call, event)
    assert (ended.outcome, ended.reason) == (Outcome.CANCELED, "browser_never_connected")


def test_the_sweep_ends_a_call_whose_browser_is_lost_if_its_container_does_not() -> None:
    call = replace(after(streaming(), REPORTED, StreamRequested()), changed_at_ms=NOW_MS)
    assert sweep(call, NOW_MS + RETURN_TIMEOUT_MS) is None
    event = sweep(call, NOW_MS + RETURN_TIMEOUT_MS + 1)
    assert event == EndRequested(EndedBy.BROWSER_LOST, NOW_MS)
    assert after(call, event).status is CallStatus.ENDED


@pytest.mark.parametrize(("later_ms", "is_task_lost"), [(FINAL_AFTER_MS + 1, False), (1, True)])
def test_a_container_that_does_not_report_does_not_keep_a_call_open(
    later_ms: int, is_task_lost: bool
) -> None:
    call = replace(after(streaming(), BY_API), changed_at_ms=NOW_MS)
    assert sweep(call, NOW_MS + FINAL_AFTER_MS) is None
    event = sweep(call, NOW_MS + later_ms, is_task_lost=is_task_lost)
    assert event
    ended = after(call, event)
    assert (ended.status, ended.reason) == (CallStatus.ENDED, "ended_by_api")


def test_a_call_whose_container_is_lost_fails_unless_its_browser_comes_back() -> None:
    late_ms = 6_000 + RETURN_TIMEOUT_MS + 1
    event = sweep(streaming(), late_ms, is_task_lost=True)
    assert event
    assert after(streaming(), event).reason == "container_lost"
    moved = after(streaming(), StreamRequested(), REATTACHED)
    assert sweep(moved, late_ms) is None


def test_nothing_is_asked_of_a_browser_call_that_has_ended() -> None:
    for call in (after(opened_call(), BY_API), after(streaming(), BY_CALLER, REPORTED)):
        assert sweep(call, 10**12, is_task_lost=True) is None
        assert owed_commands(call, 10**12, repeats=True) == ()


# Laws.


@pytest.mark.parametrize("requests", [*permutations((BY_API, BY_CALLER, LOST))])
def test_the_earliest_request_for_the_end_is_the_reason(
    requests: Sequence[EndRequested],
) -> None:
    assert after(streaming(), *requests, REPORTED).reason == "ended_by_api"


ENDS: tuple[CallEvent, ...] = (BY_API, BY_CALLER, LOST, FAULT)


@st.composite
def histories(draw: st.DrawFn) -> list[CallEvent]:
    """What two containers and the API write, each in its own order, some of it twice. At last the
    second container finds that its browser does not come back."""
    ends = draw(st.lists(st.sampled_from(ENDS), max_size=3))
    requests: list[CallEvent] = [each for each in ends for _ in range(draw(st.integers(1, 2)))]
    streams: list[CallEvent] = [REPORTED, StreamRequested(), REATTACHED, MediaReported(2)]
    queues, mixed = [requests, streams], list[CallEvent]()
    while requests or streams:
        queue = draw(st.sampled_from([queue for queue in queues if queue]))
        mixed.append(queue.pop(0))
    return [*mixed, LOST]


def possible(history: list[CallEvent]) -> Iterator[tuple[Call, CallEvent]]:
    """The call after each event that can happen to it then."""
    call = streaming()
    for event in history:
        with suppress(InvalidTransition):
            call = after(call, event)
            yield call, event


@given(histories())
def test_every_history_ends_and_never_takes_a_status_back(history: list[CallEvent]) -> None:
    calls = [call for call, _ in possible(history)]
    ranks = [list(CallStatus).index(call.status) for call in calls]
    assert ranks == sorted(ranks)
    last = calls[-1]
    assert last.status is CallStatus.ENDED
    assert last.reason
    assert last.ended_at_ms is not None
    assert not last.may_be_up


@given(histories())
def test_a_repeated_event_changes_nothing(history: list[CallEvent]) -> None:
    for call, event in possible(history):
        if not isinstance(event, StreamRequested | MediaAttached):
            assert unasked(after(call, event)) == unasked(call)
