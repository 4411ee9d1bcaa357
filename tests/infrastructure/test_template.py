"""template.yaml: what CloudFormation is given, held against itself and against what the code needs.
`local/aws/gateway.py` and `local/aws/dynamodb.py` read the same file."""

import importlib
import json
import re
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import pytest
from cfnlint.api import lint

import ai_calls
from phonebridge.errors import NotConfigured
from phonebridge.settings import ControlSettings, MediaSettings
from tests.support.translated import (
    ROOT,
    TEMPLATE,
    TEXT,
    as_list,
    functions,
    of_type,
    properties,
    resources,
    routes,
    secret_names,
    statements,
)

EVENTS = sorted((ROOT / "events" / "api").glob("*.json"))

HTTP_API_SECONDS = 30
AUTHORIZER_SECONDS = 10
SWEEP_EVERY_SECONDS = 60


def test_cfn_lint_finds_nothing() -> None:
    assert lint(TEXT, regions=["us-east-1", "eu-central-1"]) == []


# Functions


def test_every_function_runs_where_the_layer_was_built_for() -> None:
    layer = TEMPLATE["Resources"]["SharedLayer"]["Properties"]
    for function in functions().values():
        assert [function["Runtime"]] == layer["CompatibleRuntimes"] == ["python3.13"]
        assert function["Architectures"] == layer["CompatibleArchitectures"] == ["arm64"]


def test_every_function_gives_up_before_the_http_api_does() -> None:
    for name, function in functions().items():
        assert function["Timeout"] < HTTP_API_SECONDS or name == "SweepCallsFunction"


def test_a_sweep_may_take_nearly_all_the_time_until_the_next_one() -> None:
    """Hundreds of calls whose webhooks got lost, each hung up at Telnyx; never two at a time."""
    assert HTTP_API_SECONDS < properties("SweepCallsFunction")["Timeout"] < SWEEP_EVERY_SECONDS


def test_the_authorizer_gives_up_before_the_http_api_does() -> None:
    assert properties("AuthorizerFunction")["Timeout"] < AUTHORIZER_SECONDS


def test_every_function_logs_json_that_expires() -> None:
    for function in functions().values():
        logging = function["LoggingConfig"]
        assert logging["LogFormat"] == "JSON"
        assert resources()[logging["LogGroup"]["Ref"]]["Properties"]["RetentionInDays"]


def test_every_handler_exists() -> None:
    for function in functions().values():
        module, name = function["Handler"].split(".")
        assert callable(getattr(importlib.import_module(module), name))


def test_before_webhooks_can_arrive_there_is_nothing_to_sweep() -> None:
    (schedule,) = of_type("AWS::Scheduler::Schedule").values()
    assert schedule["ScheduleExpression"] == "rate(1 minute)"
    assert schedule["State"] == {"Fn::If": ["HasPublicUrl", "ENABLED", "DISABLED"]}
    assert "Name" not in schedule  # or a second stack in the account could not be made


# Permissions


def test_every_function_has_a_role_of_its_own() -> None:
    roles = [function["Role"]["Fn::GetAtt"][0] for function in functions().values()]
    assert len(set(roles)) == len(roles)
    assert all(role in resources() for role in roles)


def test_no_permission_is_a_wildcard() -> None:
    for _, statement in statements():
        actions = as_list(statement["Action"])
        assert not any("*" in action for action in actions)
        # IAM, "Actions defined by Amazon ECR": GetAuthorizationToken has no resource.
        if actions != ["ecr:GetAuthorizationToken"]:
            # Of a bucket, whatever has the one prefix that it is for.
            written = json.dumps(statement["Resource"])
            written = written.replace("/recordings/*", "").replace("/sources/*", "")
            # Of a cluster, whatever task runs in it: a task does not know its name beforehand.
            written = written.replace("task/${MediaCluster}/*", "")
            assert "*" not in written


def test_records_are_read_and_written_but_never_scanned_and_not_deleted_by_lambdas() -> None:
    allowed = {
        (role, action)
        for role, statement in statements()
        for action in as_list(statement["Action"])
        if action.startswith("dynamodb:")
    }
    assert {action for _, action in allowed} == {
        "dynamodb:GetItem",
        "dynamodb:PutItem",
        "dynamodb:BatchWriteItem",
        "dynamodb:Query",
        "dynamodb:DeleteItem",
    }
    deleting = {role for role, action in allowed if action == "dynamodb:DeleteItem"}
    # The task takes commands out of its mailbox. The API forgets agents and numbers, and whoever
    # hears of the end of a call releases its reservation.
    assert deleting == {
        "MediaTaskRole",
        "AiCallsFunctionRole",
        "TelnyxWebhookFunctionRole",
        "SweepCallsFunctionRole",
    }
    only = {
        role: statement["Condition"]["ForAllValues:StringEquals"]["dynamodb:LeadingKeys"]
        for role, statement in statements()
        if role != "MediaTaskRole" and "dynamodb:DeleteItem" in as_list(statement["Action"])
    }
    assert only == {
        "AiCallsFunctionRole": ["AGENTS", "NUMBERS", "FLEET"],
        "TelnyxWebhookFunctionRole": ["FLEET"],
        "SweepCallsFunctionRole": ["FLEET"],
    }


# HTTP API


def test_only_the_signed_webhook_and_the_talk_page_need_no_key() -> None:
    open_routes = {key for key, names in routes().items() if names != ["BearerKey"]}
    assert open_routes == {"POST /webhooks/telnyx", "GET /", "GET /console/{proxy+}"}


def test_there_is_a_sample_event_for_every_route_and_no_other() -> None:
    samples = [json.loads(path.read_text()) for path in EVENTS]
    assert {event["routeKey"] for event in samples} == set(routes())


@pytest.mark.parametrize("path", EVENTS, ids=lambda path: path.stem)
def test_a_sample_event_agrees_with_itself(path: Path) -> None:
    event = json.loads(path.read_text())
    context = event["requestContext"]
    method, route = event["routeKey"].split(" ")
    assert event["version"] == "2.0"
    assert context["routeKey"] == event["routeKey"]
    assert context["http"]["method"] == method or method == "ANY"
    assert context["http"]["path"] == event["rawPath"]
    path = route.replace("{proxy+}", "{proxy}").format(**event.get("pathParameters", {}))
    assert path == event["rawPath"]
    assert context["http"]["userAgent"] == event["headers"]["user-agent"]
    assert event["headers"].get("content-length", "0") == str(len(event.get("body", "").encode()))


def test_placing_calls_is_throttled_lowest() -> None:
    """By the default of the stage, the only limit whose type CloudFormation knows."""
    stage = properties("HttpApiApiGatewayDefaultStage")
    parameter = {"Ref": "CreateCallsPerSecond"}
    assert set(map(str, stage["DefaultRouteSettings"].values())) == {str(parameter)}
    creating = {"POST /api/ai-calls/create", "POST /api/browser-calls"}
    others = stage["RouteSettings"]
    assert others.keys() == routes().keys() - creating
    limits = {route: limit["ThrottlingRateLimit"] for route, limit in others.items()}
    assert all(isinstance(limit, int) for each in others.values() for limit in each.values())
    assert TEMPLATE["Parameters"]["CreateCallsPerSecond"]["Default"] < min(limits.values())
    # A call makes about ten webhooks.
    most_creates = TEMPLATE["Parameters"]["CreateCallsPerSecond"]["MaxValue"]
    assert limits["POST /webhooks/telnyx"] >= 10 * most_creates


def test_the_access_log_tells_what_happened_and_not_to_whom() -> None:
    log = properties("HttpApiApiGatewayDefaultStage")["AccessLogSettings"]
    group = resources()[log["DestinationArn"]["Fn::GetAtt"][0]]["Properties"]
    assert group["RetentionInDays"]
    variables = set(re.findall(r"\$context\.([\w.]+)", log["Format"]))
    line = json.loads(re.sub(r"\$context\.[\w.]+", "200", log["Format"]))
    assert {"route", "status", "latencyMs", "requestId", "authorizerError"} <= line.keys()
    assert line["status"] == 200  # a number, so that a metric filter can compare it
    assert not [name for name in variables if re.search("path|ip|agent|domain", name, re.I)]


def test_the_openapi_document_knows_every_route_but_the_webhooks() -> None:
    document = json.loads(ai_calls.app.get_openapi_json_schema())
    documented = {
        f"{method.upper()} {path}"
        for path, methods in document["paths"].items()
        for method in methods
    }
    assert documented == {route for route in routes() if " /api/" in route} - {"ANY /api/{proxy+}"}


# Settings

READ_ELSEWHERE = {
    "AWS_DEFAULT_REGION",  # boto3
    "OTEL_EXPORTER_OTLP_ENDPOINT",  # OpenTelemetry
    "POWERTOOLS_SERVICE_NAME",  # Powertools
    "PROVIDER_SECRET_ARN",  # secrets.py
    "PROVIDER_SECRET_VERSION",  # nobody: a new value replaces the process
}


class Asked(dict[str, str]):
    """An environment that remembers which settings were looked for."""

    def get(self, name: str, default: Any = None) -> Any:
        self[name] = ""
        return default


def names_read_by(from_env: Callable[[Mapping[str, str]], object]) -> set[str]:
    environ = Asked()
    with pytest.raises(NotConfigured):
        from_env(environ)
    return set(environ)


def test_the_functions_are_given_the_settings_they_read() -> None:
    given = set(TEMPLATE["Globals"]["Function"]["Environment"]["Variables"])
    read = names_read_by(ControlSettings.from_env)
    assert given - READ_ELSEWHERE <= read
    assert read - given - secret_names() == {"TELNYX_API_BASE"}, "it has a default"


def test_the_media_task_is_given_the_settings_it_reads() -> None:
    (container,) = properties("MediaTask")["ContainerDefinitions"]
    given = {entry["Name"] for entry in container["Environment"]} - READ_ELSEWHERE
    read = names_read_by(MediaSettings.from_env)
    assert given <= read
    assert read - given - secret_names() == {"TELNYX_API_BASE"}  # has a default


def test_somebody_reads_each_of_the_secrets() -> None:
    planes = (ControlSettings.from_env, MediaSettings.from_env)
    assert secret_names() <= set().union(*map(names_read_by, planes))


# Table


def test_the_table_keeps_what_it_holds() -> None:
    table = resources()["CallsTable"]
    policies = table["DeletionPolicy"], table["UpdateReplacePolicy"]
    assert policies == ("RetainExceptOnCreate", "Retain")
    properties = table["Properties"]
    assert properties["DeletionProtectionEnabled"]
    assert properties["PointInTimeRecoverySpecification"]["PointInTimeRecoveryEnabled"]
    assert properties["TimeToLiveSpecification"] == {"AttributeName": "expires_at", "Enabled": True}
    assert properties["BillingMode"] == "PAY_PER_REQUEST"


def test_indexes_are_keyed_by_their_own_name() -> None:
    for index in properties("CallsTable")["GlobalSecondaryIndexes"]:
        name = index["IndexName"]
        assert [key["AttributeName"] for key in index["KeySchema"]] == [name, f"{name}_at"]


def test_recordings_are_closed_encrypted_and_forgotten() -> None:
    bucket = resources()["RecordingsBucket"]
    policies = bucket["DeletionPolicy"], bucket["UpdateReplacePolicy"]
    assert policies == ("RetainExceptOnCreate", "Retain")
    assert all(bucket["Properties"]["PublicAccessBlockConfiguration"].values())
    assert len(bucket["Properties"]["PublicAccessBlockConfiguration"]) == 4
    assert bucket["Properties"]["BucketEncryption"]
    expiry, uploads = bucket["Properties"]["LifecycleConfiguration"]["Rules"]
    assert expiry["Prefix"] == "recordings/"
    assert expiry["ExpirationInDays"] == {"Ref": "RecordingRetentionDays"}
    assert uploads["AbortIncompleteMultipartUpload"] == {"DaysAfterInitiation": 1}
    policy = resources()["RecordingsBucketPolicy"]
    assert policy["DeletionPolicy"] == bucket["DeletionPolicy"], "a kept bucket keeps its policy"
    [statement] = policy["Properties"]["PolicyDocument"]["Statement"]
    assert (statement["Effect"], statement["Action"]) == ("Deny", "s3:*")
    assert statement["Condition"] == {"Bool": {"aws:SecureTransport": "false"}}


def test_every_queue_is_encrypted_and_every_log_expires() -> None:
    assert all(queue["SqsManagedSseEnabled"] for queue in of_type("AWS::SQS::Queue").values())
    assert all(group["RetentionInDays"] for group in of_type("AWS::Logs::LogGroup").values())


def test_a_queue_waits_for_its_function_and_gives_up_into_the_dead_letters() -> None:
    for source in of_type("AWS::Lambda::EventSourceMapping").values():
        function = properties(source["FunctionName"]["Ref"])
        queue = properties(source["EventSourceArn"]["Fn::GetAtt"][0])
        assert queue["VisibilityTimeout"] > function["Timeout"]
        redrive = queue["RedrivePolicy"]["deadLetterTargetArn"]
        assert redrive == {"Fn::GetAtt": ["DeadLetters", "Arn"]}
        assert source["FunctionResponseTypes"] == ["ReportBatchItemFailures"]


# Build


def test_wheels_are_fetched_for_the_platform_they_run_on() -> None:
    runtime = TEMPLATE["Globals"]["Function"]["Runtime"]
    for name in ("Makefile", "shared/Makefile", "functions/Makefile"):
        recipe = (ROOT / name).read_text()
        (version,) = re.findall(r"--implementation cp\W+--python-version (3\.\d+)", recipe)
        assert f"python{version}" == runtime
        recipe = recipe.replace(
            "$(MACHINE)", *re.findall(r"(?m)^MACHINE \?= (.*)$", recipe) or [""]
        )
        assert set(re.findall(r"--platform \w+?_(aarch64|x86_64)", recipe)) == {"aarch64"}
