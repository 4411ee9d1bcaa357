"""One operation of CloudFormation on the stack: executed, followed, and explained if it fails."""

import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime
from functools import partial
from typing import Any

import boto3
from botocore.exceptions import ClientError

from deployment import stack_status
from deployment.leftovers import remaining_resources, shorten_drain, unprotect_table
from deployment.progress import Progress, StackEvent, failures

POLL_SECONDS = 5.0
DELETED = "DELETE_COMPLETE"


class OperationFailed(Exception):
    """CloudFormation could not do what it was asked; the message says why and what to do."""


@dataclass(slots=True)
class Operations:
    """Executes operations on one stack, and follows each until CloudFormation has finished it."""

    name: str
    region: str
    show: Callable[[str], None] = partial(print, flush=True)
    poll_seconds: float = POLL_SECONDS
    _client: Any = field(init=False)

    def __post_init__(self) -> None:
        self._client = boto3.client("cloudformation", region_name=self.region)

    def change_sets(self) -> set[str]:
        """Return the change sets that could be executed now."""
        try:
            pages = self._client.get_paginator("list_change_sets").paginate(StackName=self.name)
            found = pages.build_full_result()["Summaries"]
        except ClientError as error:
            if error.response["Error"]["Code"] in ("ValidationError", "ChangeSetNotFound"):
                return set()  # no stack yet
            raise
        return {
            each["ChangeSetId"]
            for each in found
            if each["StackName"] == self.name
            and each.get("ExecutionStatus", "AVAILABLE") == "AVAILABLE"
        }

    def execute(self, change_set: str, *, is_media_plane_new: bool) -> None:
        started = datetime.now(UTC)
        self._client.execute_change_set(ChangeSetName=change_set, StackName=self.name)
        status = self.follow(started, is_media_plane_new=is_media_plane_new)
        if not stack_status.is_deployed(status):
            raise OperationFailed(self._explain(status, started))

    def follow(self, started: datetime, *, is_media_plane_new: bool = False) -> str:
        """Show the progress of the operation, and return its final status."""
        progress, seen = Progress(started), set[str]()
        is_rolling_back = False
        while True:
            status = self._status()
            if status == DELETED:
                return status
            fresh = {key: each for key, each in self._events(started) if key not in seen}
            seen |= fresh.keys()
            for line in progress.lines(fresh.values(), datetime.now(UTC)):
                self.show(line)
            if not stack_status.is_busy(status):
                return status
            if "ROLLBACK" in status and not is_rolling_back:
                is_rolling_back = True
                self._ease_rollback(status, is_media_plane_new)
            time.sleep(self.poll_seconds)

    def _ease_rollback(self, status: str, is_media_plane_new: bool) -> None:
        self.show("  CloudFormation undoes what it did (usually 5 to 15 min)")
        if is_media_plane_new:
            # No call can reach it yet, so its tasks need not wait an hour for calls to end.
            shorten_drain(self._client, self.name, self.region)
        if status == "ROLLBACK_IN_PROGRESS":
            unprotect_table(self._client, self.name, self.region)

    def _explain(self, status: str, started: datetime) -> str:
        causes = failures([event for _, event in self._events(started)])
        lines = [f"stack {self.name} is {status}. The reason:"]
        lines += [f"  {cause}" for cause in causes or ["see the events of the stack"]]
        if status in stack_status.FAILED_CREATION:
            if left := remaining_resources(self._client, self.name):
                lines.append(f"Left in the account: {', '.join(left)}.")
            lines.append(
                "Remove the reason and run `make deploy` again: it deletes what is left and starts "
                "over. `make destroy` deletes it and stops there."
            )
        elif status == "UPDATE_ROLLBACK_COMPLETE":
            lines.append(
                "The stack is as it was before, and nothing else is left. Remove the reason and "
                "run `make deploy` again."
            )
        else:
            lines.append(stack_status.remedy(status, self.name, self.region))
        return "\n".join(lines)

    def _status(self) -> str:
        try:
            [stack] = self._client.describe_stacks(StackName=self.name)["Stacks"]
        except ClientError as error:
            if error.response["Error"]["Code"] == "ValidationError":
                return DELETED
            raise
        return str(stack["StackStatus"])

    def _events(self, since: datetime) -> Iterator[tuple[str, StackEvent]]:
        """Return the events of the operation, oldest first."""
        pages = self._client.get_paginator("describe_stack_events").paginate(StackName=self.name)
        newest_first = pages.build_full_result()["StackEvents"]
        for each in reversed(newest_first):
            if each["Timestamp"] >= since.replace(microsecond=0):
                yield each["EventId"], _event_of(each)


def _event_of(found: dict[str, Any]) -> StackEvent:
    return StackEvent(
        at=found["Timestamp"],
        resource=found["LogicalResourceId"],
        kind=found["ResourceType"],
        status=found["ResourceStatus"],
        reason=found.get("ResourceStatusReason", ""),
    )
