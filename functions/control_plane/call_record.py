"""The whole record of a call, as the API and the outcome webhook return it."""

from control_plane import pricing
from control_plane.api.responses import record as record_responses
from control_plane.api.responses.record import CallDetails
from control_plane.services import ControlPlane


def call_details_of(plane: ControlPlane, call_id: str) -> CallDetails:
    """Raises `UnknownCall`."""
    record = plane.record(call_id)
    minute_price = plane.settings.telnyx_minute_price
    cost = pricing.cost(
        record.usages,
        record.charges,
        record.call.talk_ms,
        minute_price,
        has_carrier=not record.call.is_browser_call,
    )
    return record_responses.call_details(record, cost, plane.recordings.link)
