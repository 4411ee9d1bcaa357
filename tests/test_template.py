"""template.yaml: what CloudFormation is given, by SAM's own translator, held against itself and
against what the code needs. `local/gateway.py` and `local/dynamodb.py` read the same file."""

import copy
import importlib
import json
import re
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest
from cfnlint.api import lint
from samtranslator.translator.transform import transform
from samtranslator.yaml_helper import yaml_parse

from media_bridge.task import DRAIN_SECONDS, GOODBYE_SECONDS
from phonebridge.errors import NotConfigured
from phonebridge.settings import ControlSettings, MediaSettings

ROOT = Path(__file__).parent.parent
TEXT = (ROOT / "template.yaml").read_text()
TEMPLATE: dict[str, Any] = yaml_parse(TEXT)
EVENTS = sorted((ROOT / "events" / "api").glob("*.json"))

HTTP_API_SECONDS = 30
PING_SECONDS = 20  # uvicorn's ws_ping_interval
FARGATE_STOP_SECONDS = 120
ANYWHERE = "0.0.0.0/0"

Resource = Mapping[str, Any]


class NoManagedPolicies:
    def load(self) -> dict[str, str]:
        return {}


@pytest.fixture(scope="module")
def stack() -> Iterator[dict[str, Resource]]:
    """The resources as CloudFormation gets them; what `sam build` makes is already uploaded."""
    source = copy.deepcopy(TEMPLATE)
    source["Globals"]["Function"]["CodeUri"] = "s3://bucket/functions"
    source["Resources"]["SharedLayer"]["Properties"]["ContentUri"] = "s3://bucket/layer"
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("AWS_DEFAULT_REGION", "us-east-1")
        yield transform(source, {}, NoManagedPolicies())["Resources"]


def of_type(stack: Mapping[str, Resource], *types: str) -> dict[str, Any]:
    found = {name: r["Properties"] for name, r in stack.items() if r["Type"] in types}
    assert found, types
    return found


def functions(stack: Mapping[str, Resource]) -> dict[str, Any]:
    return of_type(stack, "AWS::Lambda::Function")


def as_list(value: object) -> list[Any]:
    return value if isinstance(value, list) else [value]


def attributes(pairs: list[dict[str, str]]) -> dict[str, str]:
    return {pair["Key"]: pair["Value"] for pair in pairs}


def test_cfn_lint_finds_nothing() -> None:
    assert lint(TEXT, regions=["us-east-1", "eu-central-1"]) == []


# Functions


def test_every_function_runs_where_the_layer_was_built_for(stack: dict[str, Resource]) -> None:
    layer = TEMPLATE["Resources"]["SharedLayer"]["Properties"]
    for function in functions(stack).values():
        assert [function["Runtime"]] == layer["CompatibleRuntimes"] == ["python3.13"]
        assert function["Architectures"] == layer["CompatibleArchitectures"] == ["arm64"]


def test_every_function_gives_up_before_the_http_api_does(stack: dict[str, Resource]) -> None:
    assert all(function["Timeout"] < HTTP_API_SECONDS for function in functions(stack).values())


def test_every_function_logs_json_that_expires(stack: dict[str, Resource]) -> None:
    for function in functions(stack).values():
        logging = function["LoggingConfig"]
        assert logging["LogFormat"] == "JSON"
        assert stack[logging["LogGroup"]["Ref"]]["Properties"]["RetentionInDays"]


def test_every_handler_exists(stack: dict[str, Resource]) -> None:
    for function in functions(stack).values():
        module, name = function["Handler"].split(".")
        assert callable(getattr(importlib.import_module(module), name))


def test_before_webhooks_can_arrive_there_is_nothing_to_sweep(stack: dict[str, Resource]) -> None:
    (schedule,) = of_type(stack, "AWS::Scheduler::Schedule").values()
    assert schedule["ScheduleExpression"] == "rate(1 minute)"
    assert schedule["State"] == {"Fn::If": ["HasBasePublicUrl", "ENABLED", "DISABLED"]}
    assert "Name" not in schedule  # or a second stack in the account could not be made


# Permissions


def statements(stack: Mapping[str, Resource]) -> Iterator[tuple[str, dict[str, Any]]]:
    for name, role in of_type(stack, "AWS::IAM::Role").items():
        for policy in role.get("Policies", []):
            for statement in policy["PolicyDocument"]["Statement"]:
                yield name, statement


def test_every_function_has_a_role_of_its_own(stack: dict[str, Resource]) -> None:
    roles = [function["Role"]["Fn::GetAtt"][0] for function in functions(stack).values()]
    assert len(set(roles)) == len(roles)
    assert all(role in stack for role in roles)


def test_no_permission_is_a_wildcard(stack: dict[str, Resource]) -> None:
    for _, statement in statements(stack):
        actions = as_list(statement["Action"])
        assert not any("*" in action for action in actions)
        # IAM, "Actions defined by Amazon ECR": GetAuthorizationToken has no resource.
        if actions != ["ecr:GetAuthorizationToken"]:
            assert "*" not in json.dumps(statement["Resource"])


def test_records_are_read_and_written_but_never_scanned_and_not_deleted_by_lambdas(
    stack: dict[str, Resource],
) -> None:
    allowed = {
        (role, action)
        for role, statement in statements(stack)
        for action in as_list(statement["Action"])
        if action.startswith("dynamodb:")
    }
    assert {action for _, action in allowed} == {
        "dynamodb:GetItem",
        "dynamodb:PutItem",
        "dynamodb:Query",
        "dynamodb:DeleteItem",
    }
    deleting = {role for role, action in allowed if action == "dynamodb:DeleteItem"}
    assert deleting == {"MediaTaskRole"}  # it takes commands out of its mailbox


# HTTP API


def routes(stack: Mapping[str, Resource]) -> dict[str, list[str]]:
    """Route key and the authorizers it asks for."""
    paths = stack["HttpApi"]["Properties"]["Body"]["paths"]
    return {
        f"{method.upper()} {path}": [name for entry in route["security"] for name in entry]
        for path, methods in paths.items()
        for method, route in methods.items()
    }


def test_only_the_signed_webhook_needs_no_key(stack: dict[str, Resource]) -> None:
    open_routes = {key for key, names in routes(stack).items() if names != ["BearerKey"]}
    assert open_routes == {"POST /webhooks/telnyx"}


def test_there_is_a_sample_event_for_every_route_and_no_other(stack: dict[str, Resource]) -> None:
    samples = [json.loads(path.read_text()) for path in EVENTS]
    assert {event["routeKey"] for event in samples} == set(routes(stack))


@pytest.mark.parametrize("path", EVENTS, ids=lambda path: path.stem)
def test_a_sample_event_agrees_with_itself(path: Path) -> None:
    event = json.loads(path.read_text())
    context = event["requestContext"]
    method, route = event["routeKey"].split(" ")
    assert event["version"] == "2.0"
    assert context["routeKey"] == event["routeKey"]
    assert (context["http"]["method"], context["http"]["path"]) == (method, event["rawPath"])
    assert route.format(**event.get("pathParameters", {})) == event["rawPath"]
    assert context["http"]["userAgent"] == event["headers"]["user-agent"]
    assert event["headers"].get("content-length", "0") == str(len(event.get("body", "").encode()))


# Settings


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


def secret_names() -> set[str]:
    generate = TEMPLATE["Resources"]["ProviderSecret"]["Properties"]["GenerateSecretString"]
    return {generate["GenerateStringKey"], *json.loads(generate["SecretStringTemplate"])}


def test_the_functions_are_given_the_settings_they_read() -> None:
    given = set(TEMPLATE["Globals"]["Function"]["Environment"]["Variables"])
    of_libraries = {"POWERTOOLS_SERVICE_NAME", "PROVIDER_SECRET_ARN"}
    read = names_read_by(ControlSettings.from_env)
    assert given - of_libraries <= read
    assert secret_names() <= read
    with_defaults = {"TELNYX_API_BASE", "OPENAI_REALTIME_URL"}
    assert read - given - secret_names() == with_defaults


def test_the_media_task_is_given_the_settings_it_reads(stack: dict[str, Resource]) -> None:
    (container,) = stack["MediaTask"]["Properties"]["ContainerDefinitions"]
    of_libraries = {"AWS_DEFAULT_REGION", "POWERTOOLS_SERVICE_NAME"}
    given = {entry["Name"] for entry in container["Environment"]} - of_libraries
    secrets = {entry["Name"] for entry in container["Secrets"]}
    read = names_read_by(MediaSettings.from_env)
    assert secrets <= secret_names()
    assert given | secrets <= read
    assert read - given - secrets == {"TELNYX_API_BASE"}  # has a default


# Table


def test_the_table_keeps_what_it_holds(stack: dict[str, Resource]) -> None:
    table = stack["CallsTable"]
    assert table["DeletionPolicy"] == table["UpdateReplacePolicy"] == "Retain"
    properties = table["Properties"]
    assert properties["DeletionProtectionEnabled"]
    assert properties["PointInTimeRecoverySpecification"]["PointInTimeRecoveryEnabled"]
    assert properties["TimeToLiveSpecification"] == {"AttributeName": "expires_at", "Enabled": True}
    assert properties["BillingMode"] == "PAY_PER_REQUEST"


def test_indexes_are_keyed_by_their_own_name(stack: dict[str, Resource]) -> None:
    for index in stack["CallsTable"]["Properties"]["GlobalSecondaryIndexes"]:
        name = index["IndexName"]
        assert [key["AttributeName"] for key in index["KeySchema"]] == [name, f"{name}_at"]


# Media plane


def test_without_an_image_nothing_of_the_media_plane_costs_money(
    stack: dict[str, Resource],
) -> None:
    families = ("AWS::EC2::", "AWS::ElasticLoadBalancingV2::", "AWS::ECS::")
    for resource in stack.values():
        if resource["Type"].startswith(families):
            assert resource["Condition"] == "HasMediaImage"


def test_only_tls_is_open_to_the_world(stack: dict[str, Resource]) -> None:
    groups = of_type(stack, "AWS::EC2::SecurityGroup").values()
    ingress = [rule for group in groups for rule in group.get("SecurityGroupIngress", [])]
    ingress += of_type(stack, "AWS::EC2::SecurityGroupIngress").values()
    from_anywhere = [rule for rule in ingress if "SourceSecurityGroupId" not in rule]
    assert [(r["CidrIp"], r["FromPort"], r["ToPort"]) for r in from_anywhere] == [
        (ANYWHERE, 443, 443)
    ]


def test_the_load_balancer_forwards_media_and_nothing_else(stack: dict[str, Resource]) -> None:
    listener = stack["MediaListener"]["Properties"]
    assert (listener["Protocol"], listener["Port"]) == ("HTTPS", 443)
    assert [action["Type"] for action in listener["DefaultActions"]] == ["fixed-response"]
    (rule,) = of_type(stack, "AWS::ElasticLoadBalancingV2::ListenerRule").values()
    (condition,) = rule["Conditions"]
    assert condition["PathPatternConfig"]["Values"] == ["/media-bridge/*"]


def test_a_replaced_task_can_end_its_longest_call(stack: dict[str, Resource]) -> None:
    longest = TEMPLATE["Parameters"]["MaxCallMinutes"]["MaxValue"] * 60
    group = attributes(stack["MediaTargetGroup"]["Properties"]["TargetGroupAttributes"])
    balancer = attributes(stack["MediaLoadBalancer"]["Properties"]["LoadBalancerAttributes"])
    (container,) = stack["MediaTask"]["Properties"]["ContainerDefinitions"]
    assert int(group["deregistration_delay.timeout_seconds"]) > longest
    assert int(balancer["client_keep_alive.seconds"]) > longest
    assert int(balancer["idle_timeout.timeout_seconds"]) >= 2 * PING_SECONDS
    assert DRAIN_SECONDS + GOODBYE_SECONDS < container["StopTimeout"] <= FARGATE_STOP_SECONDS


def test_a_deployment_never_stops_tasks_that_carry_calls(stack: dict[str, Resource]) -> None:
    service = stack["MediaService"]["Properties"]
    deployment = service["DeploymentConfiguration"]
    assert service["AvailabilityZoneRebalancing"] == "DISABLED"
    assert deployment["MinimumHealthyPercent"] == 100
    assert deployment["DeploymentCircuitBreaker"] == {"Enable": True, "Rollback": True}


def test_everyone_means_the_same_port(stack: dict[str, Resource]) -> None:
    (container,) = stack["MediaTask"]["Properties"]["ContainerDefinitions"]
    (balancer,) = stack["MediaService"]["Properties"]["LoadBalancers"]
    (egress,) = stack["LoadBalancerSecurityGroup"]["Properties"]["SecurityGroupEgress"]
    ingress = stack["MediaTaskIngress"]["Properties"]
    assert {
        container["PortMappings"][0]["ContainerPort"],
        balancer["ContainerPort"],
        stack["MediaTargetGroup"]["Properties"]["Port"],
        *(rule[end] for rule in (egress, ingress) for end in ("FromPort", "ToPort")),
    } == {8080}


def test_every_size_of_a_task_has_its_memory() -> None:
    sizes = TEMPLATE["Parameters"]["MediaTaskCpu"]["AllowedValues"]
    assert {str(cpu) for cpu in sizes} == set(TEMPLATE["Mappings"]["MemoryByCpu"])


# Build


def test_wheels_are_fetched_for_the_platform_they_run_on() -> None:
    runtime = TEMPLATE["Globals"]["Function"]["Runtime"]
    for name in ("Makefile", "shared/Makefile", "functions/Makefile"):
        recipe = (ROOT / name).read_text()
        (version,) = re.findall(r"--implementation cp\W+--python-version (3\.\d+)", recipe)
        assert f"python{version}" == runtime
        assert set(re.findall(r"--platform \w+?_(aarch64|x86_64)", recipe)) == {"aarch64"}
