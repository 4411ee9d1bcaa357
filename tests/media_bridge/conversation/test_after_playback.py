"""A hangup after the goodbye, a transfer after the words that announce it."""

from media_bridge.commands import EndCall, TransferCall
from media_bridge.conversation.after_playback import LAST_WORDS_SECONDS, AfterPlayback
from media_bridge.deadline import NEVER
from phonebridge.call.call import EndedBy

END = EndCall(EndedBy.AGENT)
TRANSFER = TransferCall("+15550101")


def with_plans(*commands: EndCall | TransferCall) -> AfterPlayback:
    afterwards = AfterPlayback()
    for command in commands:
        afterwards.plan(command, latest=20.0)
    return afterwards


def test_a_transfer_is_done_as_soon_as_all_was_heard() -> None:
    afterwards = with_plans(TRANSFER)
    assert afterwards.take(is_quiet=False, now=1.0) == []
    assert afterwards.take(is_quiet=True, now=2.0) == [TRANSFER]
    assert not afterwards
    assert afterwards.take(is_quiet=True, now=3.0) == []


def test_a_hangup_lets_the_last_words_reach_the_ear() -> None:
    afterwards = with_plans(END)
    assert afterwards.due_at() == 20.0
    assert afterwards.take(is_quiet=True, now=2.0) == []
    assert afterwards.due_at() == 2.0 + LAST_WORDS_SECONDS
    assert afterwards.take(is_quiet=True, now=2.0 + LAST_WORDS_SECONDS) == [END]
    assert afterwards.due_at() == NEVER


def test_an_agent_who_goes_on_speaking_is_not_cut_off() -> None:
    afterwards = with_plans(END)
    afterwards.take(is_quiet=True, now=2.0)
    assert afterwards.take(is_quiet=False, now=2.0 + LAST_WORDS_SECONDS) == []
    assert afterwards.due_at() == 20.0
    assert afterwards.take(is_quiet=True, now=5.0) == []
    assert afterwards.take(is_quiet=True, now=5.0 + LAST_WORDS_SECONDS) == [END]


def test_a_planned_command_is_executed_after_its_timeout() -> None:
    afterwards = with_plans(END)
    assert afterwards.take(is_quiet=False, now=19.9) == []
    assert afterwards.take(is_quiet=False, now=20.0) == [END]


def test_what_is_withdrawn_is_not_done() -> None:
    afterwards = with_plans(END, TRANSFER)
    assert afterwards.withdraw(END)
    assert not afterwards.withdraw(END)
    assert afterwards.take(is_quiet=True, now=1.0) == [TRANSFER]
    afterwards = with_plans(END)
    afterwards.take(is_quiet=True, now=1.0)
    assert afterwards.withdraw(END)
    assert afterwards.due_at() == NEVER
    assert afterwards.take(is_quiet=True, now=30.0) == []
