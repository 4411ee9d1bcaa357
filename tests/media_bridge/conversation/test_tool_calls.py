"""The model calls tools: what is carried out, what it is answered, and when it speaks about it."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from media_bridge.commands import (
    AddMessage,
    AddTimelineEntry,
    BridgeCommand,
    CancelResponse,
    ClearPlayback,
    CreateResponse,
    EndCall,
    LeaveStream,
    Log,
    RecordMessage,
    Role,
    RunFunction,
    SendDtmf,
    SendToolOutput,
    TransferCall,
    TruncateItem,
)
from media_bridge.conversation.idle import PROMPT
from media_bridge.conversation.pending_reply import ALREADY_RESPONDING
from media_bridge.conversation.tool_batch import error_output
from media_bridge.conversation.tool_calls import (
    CALLER_CAME_FIRST,
    CUT_OFF,
    FILLER_SECONDS,
    GOODBYE,
    HANG_UP_CANCELLED,
    MAX_CONSECUTIVE_TOOL_RESPONSES,
    MAX_OPEN_CALLS,
)
from media_bridge.events import (
    AudioFinished,
    BridgeEvent,
    CallerSpeechStarted,
    CallerSpeechStopped,
    DigitPressed,
    ModelErrorReceived,
    ResponseEnded,
    ResponseStarted,
    StreamStopped,
)
from media_bridge.tool_events import FunctionCalled, FunctionReturned, OutputAdded
from phonebridge.call.call import EndedBy
from phonebridge.call.config import CallConfig
from phonebridge.call.steering import Interrupt
from phonebridge.call.tools import BuiltIn, Destination, HttpsFunction, Message, Tools
from phonebridge.call.usage import Usage
from tests.support.bridges import agent_turn, done, play, ready_call, said, silent_call, words
from tests.support.playbook import At, Playbook, pass_time, unmarked

ORDER = HttpsFunction(name="order", url="https://example.com/order")
SLOW = HttpsFunction(name="slow", url="https://example.com/slow", filler="One moment.")
HANG_UP = EndCall(EndedBy.AGENT)
SALES = Destination("Sales", "+15550101")
SUPPORT = Destination("support", "+15550102", warm=True)


def calling(*tools: HttpsFunction | BuiltIn) -> Playbook:
    """The greeting is over, and the model answers the caller."""
    config = CallConfig(
        tools=Tools(
            functions=tuple(tool for tool in tools if isinstance(tool, HttpsFunction)),
            built_in=tuple(tool for tool in tools if isinstance(tool, BuiltIn)),
            destinations=(SALES, SUPPORT),
        )
    )
    story = silent_call(config=config, response="greeting")
    assert story >> ResponseStarted("resp-1")
    return story


def call(name: str, arguments: str = "{}", number: int = 1) -> FunctionCalled:
    return FunctionCalled("resp-1", f"call-{number}", name, arguments)


def output_of(output: str = '{"status":"shipped"}', number: int = 1) -> SendToolOutput:
    return SendToolOutput(f"call-{number}", output)


def result_of(
    output: str = '{"status":"shipped"}', number: int = 1, ok: bool = True
) -> FunctionReturned:
    return FunctionReturned(f"call-{number}", output, ok)


def tool_note(what: str) -> AddTimelineEntry:
    return AddTimelineEntry("tool", what)


def run(arguments: str = "{}", number: int = 1) -> RunFunction:
    return RunFunction(f"call-{number}", ORDER, arguments)


def ordering() -> Playbook:
    """The response that called `order` has ended, and the function runs."""
    return calling(ORDER) >> call("order") >> done() << run()


def waiting() -> Playbook:
    """A function runs for which the agent has a filler."""
    return calling(SLOW) >> call("slow") >> done() << RunFunction("call-1", SLOW, "{}")


# Functions.


def test_a_function_is_run_when_its_response_ended_and_answered_with_one_response() -> None:
    assert (
        calling(ORDER)
        >> call("order", '{"number":"17"}')
        >> done()
        << run('{"number":"17"}')
        >> At(0.4)
        >> result_of()
        << output_of()
        << tool_note("order: ok after 400 ms")
        << CreateResponse()
        >> OutputAdded("call-1")
        >> ResponseStarted("resp-2")
    )


def test_several_calls_of_one_response_are_answered_once() -> None:
    assert (
        calling(ORDER)
        >> call("order", number=1)
        >> call("order", number=2)
        >> done()
        << run(number=1)
        << run(number=2)
        >> result_of("2", number=2)
        << output_of("2", number=2)
        << tool_note("order: ok after 0 ms")
        >> result_of("1", number=1)
        << output_of("1", number=1)
        << tool_note("order: ok after 0 ms")
        << CreateResponse()
    )


@pytest.mark.parametrize(
    "events",
    [
        (call("order"), call("order"), done()),
        (call("order"), ResponseEnded("resp-1", "completed", "", Usage(), (call("order"),))),
        (ResponseEnded("resp-1", "completed", "", Usage(), (call("order"),)),),
    ],
    ids=["twice", "and in the response", "in the response alone"],
)
def test_a_call_is_run_once_however_it_is_told(
    events: tuple[FunctionCalled | ResponseEnded, ...],
) -> None:
    story = calling(ORDER)
    for event in events[:-1]:
        assert story >> event
    assert story >> events[-1] << run()


def test_a_call_of_a_response_that_the_caller_cut_is_not_run_and_the_model_is_told() -> None:
    assert (
        calling(ORDER)
        >> call("order")
        >> CallerSpeechStarted("user-1")
        << CancelResponse("resp-1")
        >> done(status="cancelled")
        << output_of(error_output(CALLER_CAME_FIRST))
        << tool_note("order: dropped, its response was cut")
        >> CallerSpeechStopped("user-1")
        >> ResponseStarted("resp-2")
        >> said(20, response="resp-2")
        << play(20)
        >> done("resp-2")
    )


@pytest.mark.parametrize(
    ("status", "detail"),
    [("incomplete", "max_output_tokens"), ("incomplete", "content_filter"), ("failed", "server")],
)
def test_after_a_call_of_a_response_that_ended_early_the_model_is_told_and_asked_again(
    status: str, detail: str
) -> None:
    why = f"answer after a tool: {status}: {detail}"
    output = f"Not done: the response ended early ({status}: {detail})."
    assert (
        calling(ORDER)
        >> call("order")
        >> done(status=status, detail=detail)
        << Log("warning", "model gave no reply", why)
        << AddTimelineEntry("no reply", f"{why}; asked again")
        << output_of(error_output(output))
        << tool_note("order: dropped, its response was cut")
        >> At(0.5)
        << CreateResponse()
    )


def test_a_function_that_returns_twice_is_answered_once() -> None:
    assert (
        ordering()
        >> result_of()
        << output_of()
        << tool_note("order: ok after 0 ms")
        << CreateResponse()
        >> result_of()
    )


def test_a_call_that_is_told_after_its_response_is_run_and_nobody_asks_again() -> None:
    why = "answer to the caller: completed without speech"
    assert (
        calling(ORDER)
        >> done()
        << Log("warning", "model gave no reply", why)
        << AddTimelineEntry("no reply", f"{why}; asked again")
        >> call("order")
        << run()
        >> At(5.0)
    )


@pytest.mark.parametrize("arguments", ["", "  "])
def test_no_arguments_are_an_empty_object(arguments: str) -> None:
    assert calling(ORDER) >> call("order", arguments) >> done() << run("{}")


@pytest.mark.parametrize("arguments", ["{", "[]", "null", '"a"', '{"a":', "[" * 100_000])
def test_broken_arguments_are_answered_with_an_error(arguments: str) -> None:
    story = calling(ORDER)
    story.bridge.handle(call("order", arguments), 0.0)
    answer, note, respond = unmarked(story.bridge.handle(done(), 0.0))
    assert isinstance(answer, SendToolOutput)
    assert answer.output.startswith('{"error":"The arguments are not as declared')
    assert (note, respond) == (tool_note("order: refused"), CreateResponse())


@pytest.mark.parametrize(
    ("called", "error"),
    [
        (call("sing"), "There is no tool sing."),
        (call("end_call"), "There is no tool end_call."),
        (FunctionCalled("resp-1", "call-1", "order", '{"num', is_whole=False), CUT_OFF),
    ],
    ids=["unknown", "a built-in tool that was not declared", "arguments that were cut off"],
)
def test_a_call_that_cannot_be_run_is_answered_with_an_error(
    called: FunctionCalled, error: str
) -> None:
    assert (
        calling(ORDER)
        >> called
        >> done()
        << output_of(error_output(error))
        << tool_note(f"{called.name}: refused")
        << CreateResponse()
    )


def test_at_most_eight_functions_run_at_a_time() -> None:
    story = calling(ORDER)
    for number in range(MAX_OPEN_CALLS + 1):
        story.bridge.handle(call("order", number=number), 0.0)
    *running, answer, _ = unmarked(story.bridge.handle(done(), 0.0))
    assert running == [run(number=number) for number in range(MAX_OPEN_CALLS)]
    assert answer == SendToolOutput(
        f"call-{MAX_OPEN_CALLS}", error_output("Too many calls are under way; wait for them.")
    )


def test_a_model_that_goes_round_in_circles_has_to_speak() -> None:
    story = calling(BuiltIn.TAKE_MESSAGE)
    replies = [circle(story, number) for number in range(1, MAX_CONSECUTIVE_TOOL_RESPONSES + 2)]
    talked_back = [CreateResponse(allow_tools=False)] * 2
    assert replies == [CreateResponse()] * (MAX_CONSECUTIVE_TOOL_RESPONSES - 1) + talked_back
    story.bridge.handle(CallerSpeechStarted("user-1"), 0.0)
    story.bridge.handle(CallerSpeechStopped("user-1"), 0.0)
    story.bridge.handle(ResponseStarted("resp-2"), 0.0)
    story.bridge.handle(said(20, response="resp-2"), 0.0)
    story.bridge.handle(done("resp-2"), 0.0)
    assert circle(story, MAX_CONSECUTIVE_TOOL_RESPONSES + 2) == CreateResponse()


def circle(story: Playbook, number: int) -> BridgeCommand:
    """One more response that only calls; what the model is asked to do after it."""
    response = f"circle-{number}"
    story.bridge.handle(ResponseStarted(response), 0.0)
    wanted = FunctionCalled(response, f"call-{number}", "take_message", '{"message":"Hello."}')
    story.bridge.handle(wanted, 0.0)
    return unmarked(story.bridge.handle(done(response), 0.0))[-1]


def test_what_is_still_open_when_the_call_ends_is_noted() -> None:
    assert (
        ordering()
        >> StreamStopped()
        << tool_note("order: the call ended first")
        << LeaveStream(was_lost=False)
        >> result_of()
    )


# Who speaks meanwhile.


def test_a_caller_who_speaks_is_answered_first_and_with_the_output() -> None:
    assert (
        ordering()
        >> CallerSpeechStarted("user-1")
        >> result_of()
        << output_of()
        << tool_note("order: ok after 0 ms")
        >> OutputAdded("call-1")
        >> CallerSpeechStopped("user-1")
        >> ResponseStarted("resp-2")
        >> Interrupt()
        << CancelResponse("resp-2")
        >> done("resp-2", "cancelled")
    )


def test_an_answer_that_began_without_the_output_is_followed_by_one_that_has_it() -> None:
    assert (
        ordering()
        >> CallerSpeechStarted("user-1")
        >> CallerSpeechStopped("user-1")
        >> result_of()
        << output_of()
        << tool_note("order: ok after 0 ms")
        >> ResponseStarted("resp-2")
        >> OutputAdded("call-1")
        >> said(20, response="resp-2")
        << play(20)
        >> done("resp-2")
        << CreateResponse()
    )


def test_a_request_that_met_an_active_response_is_repeated_after_it() -> None:
    assert (
        ordering()
        >> result_of()
        << output_of()
        << tool_note("order: ok after 0 ms")
        << CreateResponse()
        >> ResponseStarted("resp-2")
        >> OutputAdded("call-1")
        >> ModelErrorReceived(ALREADY_RESPONDING, "")
        << Log("warning", "model error", f"{ALREADY_RESPONDING}: ")
        >> said(20, response="resp-2")
        << play(20)
        >> done("resp-2")
        << CreateResponse()
    )


# Fillers.


def test_a_caller_who_waits_in_silence_hears_one_filler() -> None:
    assert (
        waiting()
        >> At(FILLER_SECONDS)
        << CreateResponse(exact_text="One moment.")
        >> ResponseStarted("filler")
        >> Interrupt()
        << CancelResponse("filler")
        >> done("filler", "cancelled")
        >> At(3 * FILLER_SECONDS)
        >> result_of()
        << output_of()
        << tool_note("slow: ok after 4500 ms")
        << CreateResponse()
    )


def test_an_output_that_comes_during_the_filler_waits_for_its_end() -> None:
    assert (
        waiting()
        >> At(FILLER_SECONDS)
        << CreateResponse(exact_text="One moment.")
        >> ResponseStarted("filler")
        >> result_of()
        << output_of()
        << tool_note("slow: ok after 1500 ms")
        >> said(20, response="filler")
        << play(20)
        >> done("filler")
        << CreateResponse()
    )


def test_there_is_no_filler_while_the_agent_still_speaks() -> None:
    story = calling(SLOW)
    assert (
        story
        >> said(200)
        << play(100)
        << play(100)
        >> call("slow")
        >> AudioFinished("item-1")
        >> done()
        << RunFunction("call-1", SLOW, "{}")
        >> At(0.2)
        << agent_turn(1, "", 0, 200)
        >> At(1.4)
        >> CallerSpeechStarted("user-1")
        >> At(2.9)
        >> result_of()
        << output_of()
        << tool_note("slow: ok after 2900 ms")
    )


def test_no_filler_without_one_and_none_after_the_answer() -> None:
    assert ordering() >> At(10.0)
    assert (
        waiting()
        >> result_of()
        << output_of()
        << tool_note("slow: ok after 0 ms")
        << CreateResponse()
        >> ResponseStarted("resp-2")
        >> Interrupt()
        << CancelResponse("resp-2")
        >> done("resp-2", "cancelled")
        >> At(10.0)
    )


# The end of a call.

BYE = '{"status":"done as soon as the caller has heard you"}'


def test_the_agent_hangs_up_when_its_goodbye_was_heard() -> None:
    assert (
        calling(BuiltIn.END_CALL)
        >> words("Goodbye.")
        >> said(200)
        << play(100)
        << play(100)
        >> call("end_call")
        >> AudioFinished("item-1")
        >> done()
        << output_of(BYE)
        << tool_note("end_call: ok")
        >> At(0.19)
        >> At(0.2)
        << agent_turn(1, "Goodbye.", 0, 200)
        >> At(0.49)
        >> At(0.5)
        << HANG_UP
    )


def test_an_agent_that_says_nothing_is_asked_for_a_goodbye_first() -> None:
    assert (
        calling(BuiltIn.END_CALL)
        >> call("end_call")
        >> done()
        << output_of(BYE)
        << tool_note("end_call: ok")
        << GOODBYE
        >> ResponseStarted("resp-2")
        >> said(100, response="resp-2")
        << play(100)
        >> AudioFinished("item-1")
        >> done("resp-2")
        >> At(0.1)
        << agent_turn(1, "", 0, 100)
        >> At(0.4)
        << HANG_UP
    )


def ending() -> Playbook:
    story = calling(BuiltIn.END_CALL)
    assert (
        story
        >> said(200)
        << play(100)
        << play(100)
        >> call("end_call")
        >> AudioFinished("item-1")
        >> done()
        << output_of(BYE)
        << tool_note("end_call: ok")
    )
    return story


def test_a_caller_who_speaks_during_the_goodbye_is_not_hung_up_on() -> None:
    story = ending()
    assert (
        story
        >> At(0.1)
        >> CallerSpeechStarted("user-1")
        << ClearPlayback()
        << TruncateItem("item-1", 0, 100)
        << agent_turn(1, "", 0, 100, interrupted=True)
        << AddMessage(Role.SYSTEM, HANG_UP_CANCELLED)
        >> At(5.0)
    )


def test_a_caller_who_speaks_right_after_the_goodbye_is_not_hung_up_on() -> None:
    assert (
        ending()
        >> At(0.4)
        << agent_turn(1, "", 0, 200)
        >> CallerSpeechStarted("user-1")
        << AddMessage(Role.SYSTEM, HANG_UP_CANCELLED)
        >> At(5.0)
    )


def test_a_key_is_something_to_say_too() -> None:
    story = ending()
    commands = story.bridge.handle(DigitPressed("1"), 0.1)
    assert commands[-1] == AddMessage(Role.SYSTEM, HANG_UP_CANCELLED)


def test_a_caller_who_speaks_at_that_moment_is_heard_out() -> None:
    assert (
        calling(BuiltIn.END_CALL)
        >> call("end_call")
        >> CallerSpeechStarted("user-1")
        << CancelResponse("resp-1")
        >> done()
        << output_of(error_output("The caller is speaking: hear them out."))
        << tool_note("end_call: refused")
    )


def both(ok: bool) -> Playbook:
    story = calling(ORDER, BuiltIn.END_CALL)
    output = "{}" if ok else error_output("The tool answered with 500")
    assert (
        story
        >> call("end_call", number=2)
        >> call("order")
        >> done()
        << run()
        >> result_of(output, ok=ok)
        << output_of(output)
        << tool_note(f"order: {'ok' if ok else 'failed'} after 0 ms")
        << output_of(BYE if ok else error_output(NOT_DONE), number=2)
        << tool_note(f"end_call: {'ok' if ok else 'refused'}")
        << (GOODBYE if ok else CreateResponse())
    )
    return story


NOT_DONE = "Not done: something else went wrong, or the caller spoke. Go on."


@pytest.mark.parametrize("ok", [True, False])
def test_what_is_called_with_the_end_comes_before_it_and_must_go_well(ok: bool) -> None:
    story = both(ok)
    for event in (ResponseStarted("resp-2"), said(20, response="resp-2"), done("resp-2")):
        story.bridge.handle(event, 0.0)
    ends = [command for _, command in pass_time(story.bridge, 0.0, 1.0)]
    assert (HANG_UP in ends) is ok


def test_a_caller_who_speaks_while_a_tool_still_runs_calls_the_end_off() -> None:
    assert (
        calling(ORDER, BuiltIn.END_CALL)
        >> call("end_call", number=2)
        >> call("order")
        >> done()
        << run()
        >> CallerSpeechStarted("user-1")
        >> result_of()
        << output_of()
        << tool_note("order: ok after 0 ms")
        << output_of(error_output(NOT_DONE), number=2)
        << tool_note("end_call: refused")
    )


# The other built-in tools.


def test_a_transfer_waits_for_the_words_that_announce_it() -> None:
    assert (
        calling(BuiltIn.TRANSFER_CALL)
        >> said(100)
        << play(100)
        >> call("transfer_call", '{"destination":"sales","summary":"A new order."}')
        >> AudioFinished("item-1")
        >> done()
        << output_of(BYE)
        << tool_note("transfer_call: ok")
        >> At(0.1)
        << agent_turn(1, "", 0, 100)
        << TransferCall("+15550101")
    )


def test_a_final_action_without_words_is_done_at_once() -> None:
    arguments = '{"destination":"support","summary":" The line is dead. "}'
    assert (
        calling(BuiltIn.TRANSFER_CALL)
        >> call("transfer_call", arguments)
        >> done()
        << output_of(BYE)
        << tool_note("transfer_call: ok")
        << TransferCall("+15550102", "The line is dead.")
    )


@pytest.mark.parametrize(
    ("arguments", "why"),
    [
        ('{"destination":"+15550199"}', "The destinations are: Sales, support."),
        ('{"destination":"support"}', "support must be told a summary of the call."),
        ("{}", "The arguments are not as declared: Object missing required field `destination`."),
    ],
)
def test_the_model_cannot_call_whom_it_likes(arguments: str, why: str) -> None:
    assert (
        calling(BuiltIn.TRANSFER_CALL)
        >> call("transfer_call", arguments)
        >> done()
        << output_of(error_output(why))
        << tool_note("transfer_call: refused")
        << CreateResponse()
    )


def test_one_response_has_one_final_action() -> None:
    assert (
        calling(BuiltIn.TRANSFER_CALL, BuiltIn.END_CALL)
        >> call("transfer_call", '{"destination":"sales"}')
        >> call("end_call", number=2)
        >> done()
        << output_of(error_output("transfer_call was called before it."), number=2)
        << tool_note("end_call: refused")
        << output_of(error_output(NOT_DONE))
        << tool_note("transfer_call: refused")
        << CreateResponse()
    )


def test_keys_are_pressed_at_once_and_the_model_listens() -> None:
    assert (
        calling(BuiltIn.SEND_DTMF)
        >> call("send_dtmf", '{"digits":"1w#"}')
        >> done()
        << SendDtmf("1w#")
        << output_of('{"status":"pressed"}')
        << tool_note("send_dtmf: ok")
    )


@pytest.mark.parametrize("digits", ["", "12x", "1" * 33])
def test_what_is_no_key_is_not_pressed(digits: str) -> None:
    story = calling(BuiltIn.SEND_DTMF)
    story.bridge.handle(call("send_dtmf", f'{{"digits":"{digits}"}}'), 0.0)
    answer, note, respond = unmarked(story.bridge.handle(done(), 0.0))
    assert isinstance(answer, SendToolOutput)
    assert answer.output.startswith('{"error":')
    assert (note, respond) == (tool_note("send_dtmf: refused"), CreateResponse())


def test_a_message_is_stored_and_the_model_says_so() -> None:
    arguments = '{"message":"Call me back.","name":"Ann","phone":"+15550101"}'
    message = Message(number=1, text="Call me back.", name="Ann", phone="+15550101", taken_ms=700)
    assert (
        calling(BuiltIn.TAKE_MESSAGE)
        >> At(0.7)
        >> call("take_message", arguments)
        >> done()
        << RecordMessage(message)
        << output_of('{"status":"stored"}')
        << tool_note("take_message: ok")
        << CreateResponse()
    )


def test_a_caller_who_waits_for_a_tool_is_not_asked_whether_they_are_there() -> None:
    config = CallConfig(idle_timeout_seconds=3, tools=Tools(functions=(ORDER,)))
    story = ready_call(config=config)
    assert (
        story
        >> ResponseStarted("resp-1")
        >> call("order")
        >> done()
        << run()
        >> At(20.0)
        >> result_of()
        << output_of()
        << tool_note("order: ok after 20000 ms")
        << CreateResponse()
        >> OutputAdded("call-1")
        >> ResponseStarted("resp-2")
        >> Interrupt()
        << CancelResponse("resp-2")
        >> done("resp-2", "cancelled")
        >> At(22.9)
        >> At(23.0)
        << PROMPT
    )


# Whatever happens, in whatever order.

HAPPENINGS = st.one_of(
    st.tuples(st.just("call"), st.integers(0, 1)),
    st.tuples(st.just("end"), st.just("completed")),
    st.tuples(st.just("return"), st.integers(0, 1)),
    st.tuples(st.just("seen"), st.integers(0, 1)),
    st.tuples(st.just("speech"), st.booleans()),
)


class Model:
    """A server that keeps the rules: one response at a time, and calls belong to one."""

    def __init__(self) -> None:
        self.bridge = calling(ORDER).bridge
        self.active: str | None = "resp-1"
        self.count = 1
        self.asked = 0
        self.called: dict[str, str] = {}
        self.completed: set[str] = set()
        self.cut: set[str] = set()
        self.run: list[str] = []
        self.returned: set[str] = set()
        self.answered: list[str] = []
        self.untold: set[str] = set()
        """Outputs of which no response has spoken."""
        self.seen: set[str] = set()

    def tell(self, event: BridgeEvent) -> None:
        for command in self.bridge.handle(event, 0.0):
            match command:
                case RunFunction(call_id):
                    self.run.append(call_id)
                case SendToolOutput(call_id):
                    self.answered.append(call_id)
                    self.untold |= {call_id} - self.cut
                case CreateResponse():
                    assert self.active is None, "a second response would be refused"
                    assert self.untold, "there is nothing new to speak of"
                    self.asked += 1
                    assert self.asked == 1, "it was asked for one already"

    def start(self) -> None:
        self.count += 1
        self.active = f"resp-{self.count}"
        self.untold -= self.untold if self.asked else self.seen
        self.asked = 0
        self.tell(ResponseStarted(self.active))

    def happen(self, what: str, which: object) -> None:
        match what, which:
            case "call", int(number) if self.active and f"call-{number}" not in self.called:
                self.called[f"call-{number}"] = self.active
                self.tell(FunctionCalled(self.active, f"call-{number}", "order", "{}"))
            case "end", str(status) if self.active:
                self.end(self.active, status)
            case "return", int(number) if f"call-{number}" in set(self.run) - self.returned:
                self.returned.add(f"call-{number}")
                self.tell(result_of(number=number))
            case "seen", int(number) if f"call-{number}" in self.answered:
                self.seen.add(f"call-{number}")
                self.tell(OutputAdded(f"call-{number}"))
            case "speech", True:
                self.tell(CallerSpeechStarted("user"))
                self.happen("end", "cancelled")
            case "speech", False:
                self.tell(CallerSpeechStopped("user"))
                if not self.active and not self.asked:
                    self.start()
        if self.asked and not self.active:
            self.start()

    def end(self, ended: str, status: str) -> None:
        self.active = None
        calls = {call for call, response in self.called.items() if response == ended}
        if status == "completed":
            self.completed.add(ended)
            if not calls:
                self.tell(said(20, item=f"item-{self.count}", response=ended))
        else:
            self.cut |= calls
        self.tell(done(ended, status))

    def finish(self) -> None:
        """The caller falls silent, every function returns, and the model says what it has to."""
        self.happen("speech", True)
        self.happen("speech", False)
        for number in range(2):
            self.happen("return", number)
            self.happen("seen", number)
        for _ in range(4):
            self.happen("end", "completed")


@settings(max_examples=500)
@given(st.lists(HAPPENINGS, min_size=10, max_size=40))
def test_each_call_is_answered_once_and_run_if_its_response_ended_well(
    happenings: list[tuple[str, object]],
) -> None:
    model = Model()
    for what, which in happenings:
        model.happen(what, which)
    whole = {call_id for call_id, response in model.called.items() if response in model.completed}
    assert sorted(model.run) == sorted(whole)
    assert sorted(model.answered) == sorted(model.returned | model.cut)
    model.finish()
    assert sorted(model.answered) == sorted(model.called)
    assert not model.untold, "the caller waits for ever"
