"""The model's own servers call servers of the Model Context Protocol: the talk goes on, and the
record tells of it."""

from dataclasses import replace

from media_bridge.commands import (
    AddMessage,
    AddTimelineEntry,
    CancelResponse,
    CreateResponse,
    DenyApproval,
    Log,
    Role,
)
from media_bridge.conversation.mcp import TIMEOUT_SECONDS
from media_bridge.events import CallerSpeechStarted, ResponseStarted
from media_bridge.tool_events import (
    ApprovalRequested,
    McpCalled,
    McpListing,
    McpReturned,
    McpUnavailable,
)
from tests.support.bridges import done, silent_call
from tests.support.playbook import At, Playbook


def calling() -> Playbook:
    """The greeting is over, and the model answers the caller."""
    story = silent_call(response="greeting")
    assert story >> ResponseStarted("resp-1")
    return story


def test_the_model_is_asked_to_speak_of_what_an_mcp_server_returned() -> None:
    assert (
        calling()
        >> McpCalled("resp-1", "item-7", "find")
        >> done()
        >> At(0.5)
        >> McpReturned("item-7", ok=False)
        << AddTimelineEntry("tool", "find: failed after 500 ms")
        << CreateResponse()
    )


def test_a_call_whose_end_its_item_tells_has_ended() -> None:
    assert (
        calling()
        >> McpCalled("resp-1", "item-7", "find")
        >> done()
        >> At(0.5)
        >> McpCalled("resp-1", "item-7", "find", ok=True)
        << AddTimelineEntry("tool", "find: ok after 500 ms")
        << CreateResponse()
        >> McpReturned("item-7", ok=True)
    )


def test_a_call_that_is_told_only_when_it_is_over_is_answered_too() -> None:
    assert (
        calling()
        >> McpCalled("resp-1", "item-7", "find", ok=False)
        >> done()
        << AddTimelineEntry("tool", "find: failed")
        << CreateResponse()
    )
    assert (
        calling()
        >> done()
        << Log("warning", "model gave no reply", "answer to the caller: completed without speech")
        << AddTimelineEntry(
            "no reply", "answer to the caller: completed without speech; asked again"
        )
        >> McpCalled("resp-1", "item-7", "find", ok=True)
        << AddTimelineEntry("tool", "find: ok")
        << CreateResponse()
    )
    assert (
        calling()
        >> replace(done(), calls=(McpCalled("resp-1", "item-7", "find", ok=True),))
        << AddTimelineEntry("tool", "find: ok")
        << CreateResponse()
    )


def test_an_mcp_server_may_be_faster_than_the_response_that_called_it() -> None:
    assert (
        calling()
        >> McpCalled("resp-1", "item-7", "find")
        >> McpReturned("item-7", ok=True)
        >> done()
        << AddTimelineEntry("tool", "find: ok")
        << CreateResponse()
    )


def test_a_call_that_an_mcp_server_carried_out_for_a_response_that_was_cut_is_on_record() -> None:
    assert (
        calling()
        >> McpCalled("resp-1", "item-7", "book")
        >> McpCalled("resp-1", "item-8", "find")
        >> McpReturned("item-7", ok=True)
        >> CallerSpeechStarted("user-1")
        << CancelResponse("resp-1")
        >> done(status="cancelled")
        << AddTimelineEntry("tool", "book: ok")
        << AddTimelineEntry("tool", "find: under way when its response was cut")
    )


def test_an_mcp_server_of_which_nothing_is_heard_is_waited_for_no_longer_than_that() -> None:
    assert (
        calling()
        >> McpCalled("resp-1", "item-7", "find")
        >> done()
        >> At(TIMEOUT_SECONDS - 0.1)
        >> At(TIMEOUT_SECONDS)
        << AddTimelineEntry("tool", "find: failed after 45000 ms")
        << CreateResponse()
        >> McpReturned("item-7", ok=True)
    )


def test_a_call_that_wants_an_approval_is_refused_for_nobody_could_give_it() -> None:
    assert (
        calling()
        >> ApprovalRequested("resp-1", "mcpr-1", "pay")
        >> done()
        << DenyApproval("mcpr-1")
        << AddTimelineEntry("tool", "pay: refused, it wanted an approval")
        << CreateResponse()
    )


def test_the_model_is_told_of_an_mcp_server_whose_tools_it_has_not() -> None:
    assert (
        calling()
        >> McpListing("item-9", "calendar")
        >> McpUnavailable("item-9")
        << AddTimelineEntry("mcp server unavailable", "calendar")
        << AddMessage(Role.SYSTEM, "The tools of calendar are not available in this call.")
    )
