from dataclasses import replace

import pytest

from phonebridge.call.call import Call, CallStatus, Fault, Hangup
from tests.support.calls import LEG, inbound_call, outbound_call

HANGUP = Hangup("normal_clearing", "caller", 2_000)
ENDED = replace(outbound_call(), status=CallStatus.ENDED)


@pytest.mark.parametrize("status", [s for s in CallStatus if s is not CallStatus.ENDED])
def test_a_call_that_has_not_ended_may_be_up(status: CallStatus) -> None:
    assert replace(inbound_call(), status=status).may_be_up


@pytest.mark.parametrize(
    ("call", "may_be_up"),
    [
        (replace(ENDED, leg=LEG, fault=Fault("no_media", "", 2_000)), True),
        (replace(ENDED, leg=LEG, hangup=HANGUP), False),
        (replace(ENDED, leg=None, fault=Fault("dial_failed", "", 2_000)), False),
    ],
)
def test_an_ended_call_may_be_up_until_its_leg_hung_up(call: Call, may_be_up: bool) -> None:
    assert call.may_be_up is may_be_up
