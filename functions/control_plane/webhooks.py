"""Takes webhooks of the carrier: verifies, parses and applies them."""

import base64
from collections.abc import Callable
from typing import Any

from control_plane.services import ControlPlane, log
from control_plane.sweeping import sweep_call
from phonebridge.call.call import Call
from phonebridge.call.events import AnnouncementEnded
from phonebridge.call.recording import SavedRecording
from phonebridge.call.streams import has_ended_announcement, may_find_container
from phonebridge.call.usage import Charge
from phonebridge.errors import InvalidTransition, MalformedRequest, TelnyxRefused
from phonebridge.observability.log import call_on_every_line
from phonebridge.telnyx.correlation import find
from phonebridge.telnyx.webhook import Webhook, parse
from phonebridge.telnyx.webhook_signature import verify
from phonebridge.timeline import UNLISTED


def verify_webhook(plane: ControlPlane, event: dict[str, Any]) -> Webhook:
    """Verify a webhook. Raises `InvalidSignature`, or `MalformedRequest` for a request that Telnyx
    cannot have sent."""
    body = _body(event)
    key = plane.settings.telnyx_public_key
    verify(key, event.get("headers") or {}, body, plane.now_ms())
    return parse(body, plane.now_ms())


def _body(event: dict[str, Any]) -> bytes:
    """Return the signed bytes."""
    body: str = event.get("body") or ""
    if not event.get("isBase64Encoded"):
        return body.encode(errors="surrogatepass")
    try:
        return base64.b64decode(body, validate=True)
    except ValueError as error:
        raise MalformedRequest("The body is not base64.") from error


def deliver(plane: ControlPlane, webhook: Webhook) -> None:
    """Apply the webhook to its call. It has no effect if there is none."""
    switchboard, arrival = plane.switchboard, webhook.arrival
    if webhook.event_type in UNLISTED and not (webhook.event or webhook.attachment):
        log.info("webhook ignored", event_type=webhook.event_type)
        return  # without reading the call
    if arrival:
        _apply(
            plane,
            webhook,
            arrival.call_id,
            lambda: switchboard.receive(webhook, arrival, plane.directory),
        )
    elif found := find(plane.store, webhook):
        _apply(plane, webhook, found.call.call_id, lambda: switchboard.deliver(webhook, found))
    else:
        log.warning("webhook for an unknown call", event_type=webhook.event_type)


def _apply(
    plane: ControlPlane, webhook: Webhook, call_id: str, deliver: Callable[[], Call]
) -> None:
    with call_on_every_line(log, call_id):
        log.info(
            "webhook received",
            event_type=webhook.event_type,
            event_id=webhook.event_id,
            occurred_at_ms=webhook.occurred_at_ms,
        )
        if webhook.unreadable:
            log.warning("webhook fields unreadable", fields=webhook.unreadable)
        try:
            with plane.tracer.span(call_id, f"webhook {webhook.event_type}"):
                call = deliver()
            _keep(plane, call_id, webhook.attachment)
            if isinstance(webhook.event, AnnouncementEnded) and _waits_no_more(call):
                sweep_call(plane, call, is_task_lost=False, has_room=may_find_container(call))
        except (InvalidTransition, TelnyxRefused) as error:
            # Neither would end otherwise the next time; the sweeper ends what is left of a call.
            log.warning("webhook without effect", reason=str(error))
        finally:
            plane.tracer.flush()


def _waits_no_more(call: Call) -> bool:
    return call.is_parked and has_ended_announcement(call)


def _keep(plane: ControlPlane, call_id: str, enclosed: Charge | SavedRecording | None) -> None:
    match enclosed:
        case Charge():
            plane.store.add_charge(call_id, enclosed)
        case SavedRecording():
            plane.recordings.announce(call_id, enclosed)
