"""The whole record of a call, as the API answers it and as the outcome webhook tells it."""

import prices
import record_answers
from control_plane import ControlPlane
from record_answers import WholeCall


def whole_call(plane: ControlPlane, call_id: str) -> WholeCall:
    """Raises `UnknownCall`."""
    record = plane.record(call_id)
    minute_price = plane.settings.telnyx_minute_price
    cost = prices.cost(record.usages, record.charges, record.call.talk_ms, minute_price)
    return record_answers.whole(record, cost, plane.recordings.link)
