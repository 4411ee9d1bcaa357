"""Runs every minute: settles calls that have fallen silent and repeats commands that had no effect.

The sweep sees every call, so it also counts them for the limits: each call in progress is charged
for a minute.
"""

from collections import Counter

from aws_lambda_powertools.metrics import EphemeralMetrics

from control_plane.services import control_plane, log
from control_plane.sweeping import sweep_call
from phonebridge.call.call import CallStatus
from phonebridge.observability.log import call_on_every_line


def handler(event: object, context: object) -> dict[str, int]:
    """Return how many calls were seen, in progress, ended by the sweep, and could not be ended."""
    plane = control_plane()
    unreadable: list[str] = []
    calls = list(plane.store.possibly_live(unreadable.append))
    orphans = plane.task_sweep.find(calls)
    found = Counter(seen=len(unreadable), up=0, swept=0, failed=len(unreadable))
    for key in unreadable:
        log.error("record of a call cannot be read: deploy the version that wrote it", key=key)
    for call in calls:
        found["seen"] += 1
        found["up"] += call.status in (CallStatus.ANSWERED, CallStatus.STREAMING)
        with call_on_every_line(log, call.call_id):
            try:
                # To look at the tasks takes some seconds, in which the call may have gone on.
                current = plane.call(call.call_id) if orphans.has(call) else call
                found["swept"] += sweep_call(
                    plane,
                    current,
                    is_task_lost=orphans.has(current),
                    has_room=orphans.has_room,
                )
            except Exception:  # noqa: BLE001 - one bad call must not keep the others alive
                found["failed"] += 1
                log.exception("sweep of a call FAILED")
    plane.tracer.flush()
    log.info("calls swept", seen=found["seen"], swept=found["swept"], failed=found["failed"])
    _publish(plane.settings.metrics_namespace, found)
    return dict(found)


def _publish(namespace: str, found: Counter[str]) -> None:
    """Publish the figures, if a namespace is configured."""
    if namespace:
        metrics = EphemeralMetrics(namespace=namespace, service="control-plane")
        metrics.add_metric("StuckCalls", "Count", found["swept"] + found["failed"])
        metrics.add_metric("CallMinutes", "Count", found["up"])
        metrics.flush_metrics()
