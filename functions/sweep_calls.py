"""Every minute: settles calls of which nothing is heard any more, and sends again what is owed.

The sweep sees every call, so it counts them too: a call that is up now costs a minute."""

from collections import Counter

from aws_lambda_powertools.metrics import EphemeralMetrics

from control_plane.services import ControlPlane, control_plane, log
from phonebridge.call.call import Call, CallStatus
from phonebridge.call.overdue import overdue
from phonebridge.call.owed import owed_commands
from phonebridge.observability.log import call_on_every_line

MINUTE_MS = 60_000


def handler(event: object, context: object) -> dict[str, int]:
    """How many calls were seen, were up, ended by the sweep, and could not be ended."""
    plane = control_plane()
    calls = list(plane.store.possibly_live())
    orphans = plane.task_sweep.find(calls)
    found = Counter(seen=0, up=0, swept=0, failed=0)
    for call in calls:
        found["seen"] += 1
        found["up"] += call.status in (CallStatus.ANSWERED, CallStatus.STREAMING)
        with call_on_every_line(log, call.call_id):
            try:
                # To look at the tasks takes some seconds, in which the call may have gone on.
                current = plane.call(call.call_id) if orphans.has(call) else call
                found["swept"] += _sweep(plane, current, orphans.has(current))
            except Exception:  # noqa: BLE001 - one bad call must not keep the others alive
                found["failed"] += 1
                log.exception("sweep of a call FAILED")
    plane.tracer.flush()
    log.info("calls swept", seen=found["seen"], swept=found["swept"], failed=found["failed"])
    _publish(plane.settings.metrics_namespace, found)
    return dict(found)


def _publish(namespace: str, found: Counter[str]) -> None:
    """Without a namespace nothing is published."""
    if namespace:
        metrics = EphemeralMetrics(namespace=namespace, service="control-plane")
        metrics.add_metric("StuckCalls", "Count", found["swept"] + found["failed"])
        metrics.add_metric("CallMinutes", "Count", found["up"])
        metrics.flush_metrics()


def _sweep(plane: ControlPlane, call: Call, is_task_lost: bool) -> bool:
    now_ms = plane.now_ms()
    event = overdue(
        call,
        is_task_lost=is_task_lost,
        max_call_ms=plane.settings.max_call_minutes * MINUTE_MS,
        now_ms=now_ms,
    )
    if event:
        log.warning("call overdue", status=call.status, event=type(event).__name__)
        plane.switchboard.settle(call, event)
    elif commands := owed_commands(call, now_ms):
        names = [type(command).__name__ for command in commands]
        log.warning("commands not confirmed", status=call.status, commands=names)
        plane.switchboard.pursue(call.call_id)
    else:
        return False
    return True
