"""Finds the call and the leg of a webhook. Any command of any program replaces `client_state`, so
it is only a hint, and Telnyx's ids of the leg decide. `call_control_id` may change during a call,
`call_leg_id` does not. The legs of a transfer share one `call_session_id`.

Any command of any program replaces `client_state`, so it is only a hint, and Telnyx's ids of the
leg decide. `call_control_id` may change during a call, `call_leg_id` does not. The legs of a
transfer share one `call_session_id`.
"""

from dataclasses import dataclass

from phonebridge.call.call import MAX_CALL_ID_LENGTH, Call, Leg
from phonebridge.ports import CallStore
from phonebridge.telnyx.leg_name import call_and_transfer, leg_name
from phonebridge.telnyx.webhook import Webhook, about_target
from phonebridge.telnyx.webhook_payloads import inbound_call_id


@dataclass(frozen=True, slots=True)
class MatchedLeg:
    """A call and one of its legs: its own leg, or the target of the transfer with this number."""

    call: Call
    transfer: int | None = None

    @property
    def name(self) -> str:
        return leg_name(self.call.call_id, self.transfer)

    def apply_to(self, webhook: Webhook) -> Webhook:
        """Return the webhook as the call sees it: events of a transfer's target do not end the
        call."""
        if self.transfer is None:
            return webhook
        is_warm = self.call.transfer is not None and self.call.transfer.is_warm
        return about_target(webhook, self.transfer, is_warm)

    @property
    def control_id(self) -> str:
        """The `call_control_id` to use in commands for this leg. Empty while unknown."""
        if self.transfer is None:
            return self.call.leg.call_control_id if self.call.leg else ""
        return self.call.transfer.target if self.call.transfer else ""


def find(store: CallStore, webhook: Webhook) -> MatchedLeg | None:
    """Find the call of a webhook. It costs one read if `client_state` names the right call."""
    leg = webhook.leg
    named = _load(store, webhook.client_state)
    return (
        _by_known_ids(named, leg)
        or _load(store, store.find_by_leg(leg))
        or _by_known_ids(_load(store, inbound_call_id(leg)), leg)
        or _by_name(_load(store, store.linked_session(leg)), leg)
        or _by_name(named, leg)
    )


def _load(store: CallStore, name: str | None) -> MatchedLeg | None:
    call_id, transfer = call_and_transfer(name or "")
    if not 0 < len(call_id) <= MAX_CALL_ID_LENGTH:
        return None
    call = store.load(call_id)
    return MatchedLeg(call, transfer) if call else None


def _by_known_ids(named: MatchedLeg | None, leg: Leg) -> MatchedLeg | None:
    if named is None:
        return None
    call = named.call
    if call.leg and _is_same(call.leg, leg):
        return MatchedLeg(call)
    if call.transfer and call.transfer.target == leg.call_control_id != "":
        return MatchedLeg(call, call.transfer.number)
    return None


def _by_name(named: MatchedLeg | None, leg: Leg) -> MatchedLeg | None:
    """Accept the leg that `client_state` names if only its name or its session is known so far.
    Then this is its first event, or its ids have changed."""
    if named is None or named.call.leg is None:
        return named
    call, known = named.call, named.call.leg
    if call.transfer and (named.transfer is not None or not _are_of_other_sessions(known, leg)):
        return MatchedLeg(call, named.transfer or call.transfer.number)
    is_renamed = not (known.call_leg_id and leg.call_leg_id)
    is_in_session = known.call_session_id == leg.call_session_id != ""
    return named if is_renamed and is_in_session else None


def _is_same(known: Leg, other: Leg) -> bool:
    return (
        known.call_control_id == other.call_control_id != ""
        or known.call_leg_id == other.call_leg_id != ""
    )


def _are_of_other_sessions(known: Leg, other: Leg) -> bool:
    sessions = {known.call_session_id, other.call_session_id} - {""}
    return len(sessions) > 1
