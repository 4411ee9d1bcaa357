"""What a deployment does first, for every status that CloudFormation knows."""

import pytest
from botocore.session import get_session

from deployment.stack_status import REMEDIES, FirstAction, first_action, is_deployed, remedy

STATUSES: list[str] = (
    get_session().get_service_model("cloudformation").shape_for("StackStatus").enum  # type: ignore[attr-defined]
)


@pytest.mark.parametrize("status", [s for s in STATUSES if s.endswith("_IN_PROGRESS")])
def test_an_operation_that_runs_is_waited_for(status: str) -> None:
    is_only_planned = status == "REVIEW_IN_PROGRESS"
    expected = FirstAction.PROCEED if is_only_planned else FirstAction.WAIT
    assert first_action(status) is expected


@pytest.mark.parametrize("status", ["CREATE_FAILED", "ROLLBACK_COMPLETE", "ROLLBACK_FAILED"])
def test_a_stack_that_was_never_complete_is_created_anew(status: str) -> None:
    assert first_action(status) is FirstAction.START_OVER
    assert not is_deployed(status)


@pytest.mark.parametrize(
    "status", ["CREATE_COMPLETE", "UPDATE_COMPLETE", "UPDATE_ROLLBACK_COMPLETE", "IMPORT_COMPLETE"]
)
def test_a_stack_that_works_is_updated(status: str) -> None:
    assert first_action(status) is FirstAction.PROCEED


def test_every_status_that_stops_a_deployment_says_what_to_run() -> None:
    stopping = [s for s in STATUSES if first_action(s) is FirstAction.STOP]
    assert set(REMEDIES) <= set(stopping)
    for status in stopping:
        text = remedy(status, "phonebridge", "eu-west-1")
        assert text.startswith(f"stack phonebridge is {status}: ")
        assert "{" not in text
