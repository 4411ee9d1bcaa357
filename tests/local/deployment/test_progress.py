"""What somebody reads who waits for a deployment."""

from datetime import UTC, datetime, timedelta

from deployment.progress import USUAL, Progress, StackEvent, failures
from tests.support.translated import resources

START = datetime(2026, 11, 30, 12, 0, tzinfo=UTC)
SERVICE = "AWS::ECS::Service"
CERTIFICATE = "AWS::CertificateManager::Certificate"


def at(seconds: float) -> datetime:
    return START + timedelta(seconds=seconds)


def event(seconds: float, resource: str, kind: str, status: str, reason: str = "") -> StackEvent:
    return StackEvent(at(seconds), resource, kind, status, reason)


def test_what_takes_long_is_named_with_its_usual_time_and_the_time_it_took() -> None:
    progress = Progress(START)
    begun = event(5, "MediaService", SERVICE, "CREATE_IN_PROGRESS")
    [line] = progress.lines([begun, begun], at(5))
    assert line.startswith("  MediaService: containers start")
    assert line.endswith("(usually 7 to 12 min)")
    done = event(425, "MediaService", SERVICE, "CREATE_COMPLETE")
    assert progress.lines([done], at(425)) == ["  MediaService: done after 7:00 min"]


def test_nobody_waits_longer_than_a_minute_for_a_line() -> None:
    progress = Progress(START)
    role = event(1, "MediaTaskRole", "AWS::IAM::Role", "CREATE_IN_PROGRESS")
    assert progress.lines([role], at(1)) == []
    assert progress.lines([], at(59)) == []
    assert progress.lines([], at(61)) == ["  1:01 min: waiting for MediaTaskRole"]
    assert progress.lines([], at(62)) == []
    assert progress.lines([], at(121)) == ["  2:01 min: waiting for MediaTaskRole"]


def test_a_certificate_that_takes_too_long_is_explained_once() -> None:
    progress = Progress(START)
    progress.lines([event(0, "MediaCertificate", CERTIFICATE, "CREATE_IN_PROGRESS")], at(0))
    [line] = progress.lines([], at(601))
    assert "longer than usual" in line
    assert "name servers" in line
    assert progress.lines([], at(602)) == []


def test_what_is_removed_is_not_announced_as_if_it_started() -> None:
    progress = Progress(START)
    removed = event(1, "MediaService", SERVICE, "DELETE_IN_PROGRESS")
    assert progress.lines([removed], at(1)) == []


def test_a_failure_names_its_cause_and_not_what_was_cancelled_with_it() -> None:
    events = [
        event(1, "MediaRecord", "AWS::Route53::RecordSet", "CREATE_FAILED", "no such zone"),
        event(2, "MediaService", SERVICE, "CREATE_FAILED", "Resource creation cancelled"),
        event(3, "phonebridge", "AWS::CloudFormation::Stack", "UPDATE_FAILED", "see resources"),
    ]
    assert failures(events) == ["MediaRecord (AWS::Route53::RecordSet): no such zone"]
    assert Progress(START).lines(events, at(3)) == ["  MediaRecord: CREATE_FAILED: no such zone"]


def test_the_kinds_with_a_usual_time_are_in_the_template() -> None:
    assert USUAL.keys() <= {resource["Type"] for resource in resources().values()}
