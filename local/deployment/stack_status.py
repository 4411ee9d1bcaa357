"""Decides from the status of the stack what a deployment must do first (CloudFormation, "Stack
status codes"). This module is pure."""

from enum import Enum


class FirstAction(Enum):
    PROCEED = "deploy"
    WAIT = "wait until the operation that runs has ended"
    START_OVER = "delete what a failed creation left, then create the stack"
    STOP = "only a person can decide"


# The creation never finished, so no call was ever placed and there are no records to keep.
FAILED_CREATION = {"CREATE_FAILED", "ROLLBACK_COMPLETE", "ROLLBACK_FAILED"}
# CloudFormation created the stack for a change set that was never executed.
NOT_CREATED = "REVIEW_IN_PROGRESS"

REMEDIES = {
    "UPDATE_ROLLBACK_FAILED": (
        "an update failed, and so did its rollback. Remove the cause that its events name, run "
        "`aws cloudformation continue-update-rollback --stack-name {name} --region {region}`, "
        "then `make deploy`"
    ),
    "UPDATE_FAILED": (
        "an update failed and was not rolled back. Run `aws cloudformation rollback-stack "
        "--stack-name {name} --region {region}`, then `make deploy`"
    ),
    "DELETE_FAILED": (
        "a deletion failed. Run `make destroy` again, which shows what resists, then `make deploy`"
    ),
}
UNKNOWN_STATUS = "its state is new to this program. Look at it in the CloudFormation console"


def first_action(status: str) -> FirstAction:
    if status in FAILED_CREATION:
        return FirstAction.START_OVER
    if status == NOT_CREATED:
        return FirstAction.PROCEED
    if is_busy(status):
        return FirstAction.WAIT
    return FirstAction.PROCEED if status.endswith("_COMPLETE") else FirstAction.STOP


def is_busy(status: str) -> bool:
    return status.endswith("_IN_PROGRESS") and status != NOT_CREATED


def is_deployed(status: str) -> bool:
    """Return whether the last operation succeeded."""
    return status in ("CREATE_COMPLETE", "UPDATE_COMPLETE", "IMPORT_COMPLETE")


def remedy(status: str, name: str, region: str) -> str:
    text = REMEDIES.get(status, UNKNOWN_STATUS).format(name=name, region=region)
    return f"stack {name} is {status}: {text}"
