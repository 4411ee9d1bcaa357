"""Places calls. A request places one call, even if it is repeated or was interrupted."""

import uuid
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Generic, TypeVar

from botocore.exceptions import BotoCoreError, ClientError

from control_plane.agent_directory import Agent
from control_plane.api.requests.agent_settings import AgentSettings
from control_plane.api.requests.browser_call import CreateBrowserCall
from control_plane.api.requests.create_call import CreateCall
from control_plane.api.requests.fields import InvalidField
from control_plane.api.requests.supported import check_supported
from control_plane.api.resolver import call_context
from control_plane.destinations import check_destinations, is_simulated, numbers_of
from control_plane.services import ControlPlane, log
from phonebridge.call.call import Call, CallStatus, Direction
from phonebridge.call.config import CallConfig
from phonebridge.call.overdue import DIAL_FAILED
from phonebridge.errors import DialFailed, IdempotencyKeyReused, UnknownAgent, UnknownNumber
from phonebridge.storage.call_items import encode_config
from phonebridge.storage.call_store import Claim

Wanted = TypeVar("Wanted", bound=AgentSettings)


@dataclass(frozen=True, slots=True)
class CallRequest(Generic[Wanted]):
    """The client's request, and the key that identifies its repetitions."""

    wanted: Wanted
    idempotency_key: str | None
    fingerprint: str
    client: str = ""
    """The fingerprint of the client's key. It is empty without an authorizer."""


@dataclass(frozen=True, slots=True)
class PlacedCall:
    call: Call
    is_replayed: bool
    """True if an earlier request with the same key placed the call."""


def place(plane: ControlPlane, request: CallRequest[CreateCall]) -> PlacedCall:
    """Place a call. Raises the errors of the API, and `TelnyxError` if the carrier refuses."""
    if known := find_placed(plane, request):
        return PlacedCall(_repeat(plane, known), is_replayed=True)
    plane.settings.require_dialing()
    config = config_of(plane, request.wanted)
    caller = request.wanted.caller(plane.settings.telnyx_from_number)
    check_destinations(numbers_of(config, request.wanted.to), plane.settings)
    _check_caller(plane, caller)
    config = config.with_fallback(plane.fallback)  # the operator's own number needs no check
    encode_config(config)  # for a request that is refused leaves its key free
    call = Call(
        call_id=claim_call_id(plane, request),
        direction=Direction.OUTBOUND,
        to=request.wanted.to,
        from_=caller,
        created_at_ms=plane.now_ms(),
        placed_by=request.client,
    )
    placed = begin_call(plane, call, config, plane.switchboard.place)
    return PlacedCall(placed, is_replayed=False)


def begin_call(
    plane: ControlPlane, call: Call, config: CallConfig, begin: Callable[[Call, CallConfig], Call]
) -> Call:
    """Begin the call if there is room for it, and reserve its place in a media container."""
    with call_context(call.call_id):
        plane.admission.admit()
        plane.limits.reserve(call.call_id, config.max_duration_seconds)
        begun = begin(call, config)
        reserve_place(plane, begun)
    return begun


def find_placed(plane: ControlPlane, request: CallRequest[Any]) -> Call | None:
    """Return the call that an earlier request with this key placed. It may be missing although the
    key is claimed: the earlier request failed, or is still running."""
    if request.idempotency_key is None:
        return None
    claim = plane.store.find_claim(request.idempotency_key, request.fingerprint)
    return plane.store.load(_check_matches(claim).call_id) if claim else None


def _repeat(plane: ControlPlane, call: Call) -> Call:
    """Return the call of a repeated request. If the first request stopped before it dialled, dial
    now."""
    with call_context(call.call_id):
        if call.fault and call.fault.reason == DIAL_FAILED:
            raise DialFailed(call.fault.detail)
        if call.leg is not None:
            return call
        placed = plane.switchboard.repeat(call)
        reserve_place(plane, placed)
    return placed


def config_of(plane: ControlPlane, wanted: CreateCall | CreateBrowserCall) -> CallConfig:
    """Return the settings of the request on top of those of its agent. Refuse what cannot work."""
    agent = find_agent(plane, wanted.agent) if wanted.agent else None
    config = wanted.config(plane.max_call_seconds, agent)
    check_supported(wanted, config, plane.settings)
    return config


def _check_caller(plane: ControlPlane, number: str) -> None:
    """Refuse a caller id that is not the operator's number. A simulated carrier accepts any."""
    settings = plane.settings
    if number == settings.telnyx_from_number or is_simulated(settings.telnyx_api_base):
        return
    try:
        plane.directory.assignment(number)
    except UnknownNumber as error:
        problem = "must be TELNYX_FROM_NUMBER or a number under /api/numbers"
        raise InvalidField("from", problem) from error


def claim_call_id(plane: ControlPlane, request: CallRequest[Any]) -> str:
    """Return the same call id for every request with the same key, so that the call is created
    once."""
    call_id = str(uuid.uuid4())
    key = request.idempotency_key
    if key is None:
        return call_id
    return _check_matches(plane.store.claim_key(key, request.fingerprint, call_id)).call_id


def reserve_place(plane: ControlPlane, call: Call) -> None:
    if call.status is CallStatus.ENDED:
        return
    try:
        plane.fleet.reserve(call)
    except (BotoCoreError, ClientError):
        # Another call may take its place; this one rings already.
        log.exception("reservation FAILED")


def _check_matches(claim: Claim) -> Claim:
    if not claim.matches:
        raise IdempotencyKeyReused("This Idempotency-Key was used with another body.")
    return claim


def find_agent(plane: ControlPlane, name: str) -> Agent:
    try:
        return plane.directory.agent(name)
    except UnknownAgent as error:
        raise InvalidField(
            "agent", f"there is no agent `{name}`; PUT /api/agents/{name} makes it"
        ) from error
