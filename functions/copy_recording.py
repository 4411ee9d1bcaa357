"""Copies a recording from the carrier into our bucket; the webhook that told of it waits for
nothing. Its counterpart is the queue of recordings."""

from typing import Any

from control_plane import control_plane, log
from errands import Delivery, NotNow, carried_out
from phonebridge.log import call_on_every_line
from recordings import CopyRecording


def handler(event: dict[str, Any], context: object) -> dict[str, Any]:
    return carried_out(event, _copy, control_plane().recordings.errands)


def _copy(delivery: Delivery) -> None:
    errand = delivery.errand(CopyRecording)
    with call_on_every_line(log, errand.call_id):
        try:
            recording = control_plane().recordings.copy(errand)
        except NotNow as error:
            log.warning("recording not copied yet", reason=str(error), attempt=delivery.attempt)
            raise
        log.info("recording dealt with", state=recording.state, problem=recording.problem)
