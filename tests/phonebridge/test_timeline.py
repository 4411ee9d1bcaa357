"""The timeline lists each webhook once, whether it has an entry or follows from the head."""

from dataclasses import replace

import pytest

from phonebridge.call.call import Call
from phonebridge.call.events import CallAnswered, CallEvent, CallInitiated
from phonebridge.ports import TimelineEntry
from phonebridge.timeline import complete_timeline, needs_entry
from tests.support.calls import LEG, outbound_call

CALL = outbound_call("call-1")
ANSWERED = replace(CALL, answered_at_ms=5_000)
ESTIMATED = replace(ANSWERED, is_answer_estimated=True)
INITIATED = TimelineEntry(4_000, "1", "call.initiated", "incoming")
HUNG_UP = TimelineEntry(9_000, "2", "call.hangup")


@pytest.mark.parametrize(
    ("event_type", "event"),
    [
        ("call.answered", CallAnswered(LEG, 5_000)),
        ("call.initiated", CallInitiated(LEG)),
        ("call.cost", None),
        ("streaming.started", None),
        ("streaming.stopped", None),
    ],
)
def test_a_webhook_without_news_has_no_entry(event_type: str, event: CallEvent | None) -> None:
    assert not needs_entry(event_type, event, ANSWERED)


@pytest.mark.parametrize("call", [CALL, ESTIMATED, replace(ANSWERED, answered_at_ms=6_000)])
def test_an_answer_that_the_head_does_not_show_has_an_entry(call: Call) -> None:
    assert needs_entry("call.answered", CallAnswered(LEG, 5_000), call)


def test_an_unknown_webhook_has_an_entry() -> None:
    assert needs_entry("call.beamed.up", None, CALL)


def test_the_answer_stands_between_the_entries_before_and_after_it() -> None:
    timeline = complete_timeline(ANSWERED, (INITIATED, HUNG_UP))
    assert [(entry.at_ms, entry.what) for entry in timeline] == [
        (4_000, "call.initiated"),
        (5_000, "call.answered"),
        (9_000, "call.hangup"),
    ]


@pytest.mark.parametrize("call", [CALL, ESTIMATED])
def test_a_call_whose_answer_no_webhook_reported_lists_none(call: Call) -> None:
    assert complete_timeline(call, (INITIATED,)) == (INITIATED,)
