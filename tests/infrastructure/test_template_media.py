"""The media plane of template.yaml: network, load balancer, container service and its scaling."""

import json
from typing import Any

import pytest
import yaml

from media_bridge.runtime.server import PING_SECONDS
from media_bridge.runtime.worker import DRAIN_TIMES, METRICS_SECONDS
from tests.support.conditions import parameters, resources_with
from tests.support.translated import (
    TEMPLATE,
    as_list,
    attributes,
    of_type,
    properties,
    resources,
)

FARGATE_STOP_SECONDS = 120
ANYWHERE = "0.0.0.0/0"


IMAGE = "123456789012.dkr.ecr.us-east-1.amazonaws.com/phonebridge@sha256:" + "0f" * 32


def test_without_an_image_nothing_of_the_media_plane_costs_money() -> None:
    """Nor with private subnets."""
    families = ("AWS::EC2::", "AWS::ElasticLoadBalancingV2::", "AWS::ECS::")
    there = resources_with(parameters(VpcMode="private")).values()
    assert not [r["Type"] for r in there if r["Type"].startswith(families)]


def test_a_nat_gateway_is_paid_for_only_when_asked_for() -> None:
    def gateways(mode: str) -> int:
        there = resources_with(parameters(VpcMode=mode, MediaImageUri=IMAGE)).values()
        return [r["Type"] for r in there].count("AWS::EC2::NatGateway")

    assert (gateways("public"), gateways("private")) == (0, 2)


def test_private_tasks_have_no_address_and_go_out_by_their_own_zone() -> None:
    network = properties("MediaService")["NetworkConfiguration"]["AwsvpcConfiguration"]
    assert network["AssignPublicIp"] == {"Fn::If": ["IsPrivate", "DISABLED", "ENABLED"]}
    _, own, _ = network["Subnets"]["Fn::If"]
    _, private, _ = own["Fn::If"]
    assert private == [{"Ref": "PrivateSubnetA"}, {"Ref": "PrivateSubnetB"}]
    for zone in "AB":
        routes = {"Ref": f"PrivateRoutes{zone}"}
        assert properties(f"PrivateSubnet{zone}Routes")["RouteTableId"] == routes
        assert properties(f"RouteToNat{zone}")["RouteTableId"] == routes
        assert properties(f"RouteToNat{zone}")["NatGatewayId"] == {"Ref": f"NatGateway{zone}"}
        zones = [properties(f"{kind}Subnet{zone}") for kind in ("Public", "Private")]
        assert zones[0]["AvailabilityZone"] == zones[1]["AvailabilityZone"]
        assert properties(f"NatGateway{zone}")["SubnetId"] == {"Ref": f"PublicSubnet{zone}"}


def own_vpc(**more: str) -> dict[str, object]:
    subnets = {"BalancerSubnetIds": "subnet-1,subnet-2", "TaskSubnetIds": "subnet-3"}
    return {"MediaImageUri": IMAGE, "VpcId": "vpc-1", **subnets, **more}


@pytest.mark.parametrize("mode", ["public", "private"])
def test_in_a_vpc_of_the_user_nothing_of_the_network_is_made_but_security_groups(mode: str) -> None:
    there = resources_with(parameters(**own_vpc(VpcMode=mode))).values()
    network = {each["Type"] for each in there if each["Type"].startswith("AWS::EC2::")}
    assert network == {"AWS::EC2::SecurityGroup", "AWS::EC2::SecurityGroupIngress"}


def test_everything_of_the_media_plane_is_in_the_same_vpc() -> None:
    vpc = {"Fn::If": ["MakesVpc", {"Ref": "Vpc"}, {"Ref": "VpcId"}]}
    groups = of_type("AWS::EC2::SecurityGroup", "AWS::ElasticLoadBalancingV2::TargetGroup")
    assert [each["VpcId"] for each in groups.values()] == [vpc] * 3
    _, _, balancer = properties("MediaLoadBalancer")["Subnets"]["Fn::If"]
    network = properties("MediaService")["NetworkConfiguration"]["AwsvpcConfiguration"]
    _, _, tasks = network["Subnets"]["Fn::If"]
    assert balancer == {"Fn::Split": [",", {"Ref": "BalancerSubnetIds"}]}
    assert tasks == {"Fn::Split": [",", {"Ref": "TaskSubnetIds"}]}


def test_nothing_starts_before_its_way_out_whatever_the_conditions() -> None:
    """By a reference: DependsOn knows no conditions."""
    conditional = {name for name, each in resources().items() if "Condition" in each}
    for name, each in resources_with(parameters(**own_vpc())).items():
        needed = set(as_list(each.get("DependsOn", []))) & conditional
        assert needed <= resources_with(parameters(**own_vpc())).keys(), name
    for name in ("MediaLoadBalancer", "MediaService"):
        assert "RouteToInternet" in json.dumps(properties(name)["Tags"])


def test_the_tags_of_the_stack_are_on_its_tasks() -> None:
    assert properties("MediaService")["PropagateTags"] == "SERVICE"


def test_no_two_subnets_share_addresses() -> None:
    blocks = [subnet["CidrBlock"]["Fn::Select"] for subnet in of_type("AWS::EC2::Subnet").values()]
    assert sorted(number for number, _ in blocks) == list(range(len(blocks)))
    assert all(
        cidr == {"Fn::Cidr": [{"Fn::GetAtt": ["Vpc", "CidrBlock"]}, 4, 12]} for _, cidr in blocks
    )


def test_dynamodb_and_s3_are_reached_past_the_nat_gateways() -> None:
    endpoints = of_type("AWS::EC2::VPCEndpoint").values()
    assert {e["ServiceName"]["Fn::Sub"].rsplit(".")[-1] for e in endpoints} == {"dynamodb", "s3"}
    for endpoint in endpoints:
        assert endpoint["VpcEndpointType"] == "Gateway"
        _, private, public = endpoint["RouteTableIds"]["Fn::If"]
        tables = {table["Ref"] for table in (*private, *public)}
        assert tables == set(of_type("AWS::EC2::RouteTable"))


def test_only_tls_is_open_to_the_world() -> None:
    groups = of_type("AWS::EC2::SecurityGroup").values()
    ingress = [rule for group in groups for rule in group.get("SecurityGroupIngress", [])]
    ingress += of_type("AWS::EC2::SecurityGroupIngress").values()
    from_anywhere = [rule for rule in ingress if "SourceSecurityGroupId" not in rule]
    assert [(r["CidrIp"], r["FromPort"], r["ToPort"]) for r in from_anywhere] == [
        (ANYWHERE, 443, 443)
    ]


def test_the_load_balancer_forwards_media_and_nothing_else() -> None:
    listener = properties("MediaListener")
    assert (listener["Protocol"], listener["Port"]) == ("HTTPS", 443)
    assert [action["Type"] for action in listener["DefaultActions"]] == ["fixed-response"]
    (rule,) = of_type("AWS::ElasticLoadBalancingV2::ListenerRule").values()
    (condition,) = rule["Conditions"]
    assert condition["PathPatternConfig"]["Values"] == ["/media-bridge/*"]


def test_a_replaced_task_can_end_its_longest_call() -> None:
    longest = TEMPLATE["Parameters"]["MaxCallMinutes"]["MaxValue"] * 60
    group = attributes(properties("MediaTargetGroup")["TargetGroupAttributes"])
    balancer = attributes(properties("MediaLoadBalancer")["LoadBalancerAttributes"])
    (container,) = properties("MediaTask")["ContainerDefinitions"]
    assert int(group["deregistration_delay.timeout_seconds"]) > longest
    assert int(balancer["client_keep_alive.seconds"]) > longest
    assert int(balancer["idle_timeout.timeout_seconds"]) >= 2 * PING_SECONDS
    times = DRAIN_TIMES  # calls are moved within the time in which they may end by themselves
    phases = times.calls_seconds + times.goodbye_seconds + times.last_writes_seconds
    assert phases < container["StopTimeout"] <= FARGATE_STOP_SECONDS


def test_a_late_answer_to_a_health_check_stops_no_calls() -> None:
    """ECS stops a task that its balancer calls unhealthy. The default is two late answers."""
    group = properties("MediaTargetGroup")
    assert group["UnhealthyThresholdCount"] == 10
    assert group["HealthCheckTimeoutSeconds"] >= 8
    assert group["HealthCheckTimeoutSeconds"] < group["HealthCheckIntervalSeconds"]
    assert group["HealthyThresholdCount"] == 2, "a new task takes calls soon"


def test_a_task_that_has_died_attracts_no_sockets() -> None:
    """It has the fewest of all, and stays registered until its checks have failed."""
    group = properties("MediaTargetGroup")
    values = attributes(group["TargetGroupAttributes"])
    assert values["load_balancing.algorithm.type"] == "round_robin"


def test_a_new_version_of_the_secret_replaces_the_processes_of_both_planes() -> None:
    version = {"Ref": "ProviderSecretVersion"}
    (container,) = properties("MediaTask")["ContainerDefinitions"]
    given = {entry["Name"]: entry["Value"] for entry in container["Environment"]}
    assert given["PROVIDER_SECRET_VERSION"] == version
    for function in of_type("AWS::Lambda::Function").values():
        assert function["Environment"]["Variables"]["PROVIDER_SECRET_VERSION"] == version


def test_a_deployment_never_stops_tasks_that_carry_calls() -> None:
    service = properties("MediaService")
    deployment = service["DeploymentConfiguration"]
    assert service["AvailabilityZoneRebalancing"] == "DISABLED"
    assert deployment["MinimumHealthyPercent"] == 100
    assert deployment["DeploymentCircuitBreaker"] == {"Enable": True, "Rollback": True}
    assert deployment["EarlySuccessCriteria"]["SourceServiceRevisionCleanup"] == "DEFERRED"
    assert "DesiredCount" not in service  # or each deployment would undo what scaling did


def test_a_deployment_that_fails_its_callers_is_rolled_back() -> None:
    deployment = properties("MediaService")["DeploymentConfiguration"]
    bake_seconds = deployment["BakeTimeInMinutes"] * 60
    assert deployment["Alarms"]["Enable"]
    assert deployment["Alarms"]["Rollback"]
    for name in (alarm["Ref"] for alarm in deployment["Alarms"]["AlarmNames"]):
        alarm = properties(name)
        stats = [query["MetricStat"] for query in alarm.get("Metrics", []) if "MetricStat" in query]
        [period] = {stat["Period"] for stat in stats} or {alarm["Period"]}
        assert period * alarm["DatapointsToAlarm"] <= bake_seconds, name


def test_a_container_can_be_stopped_before_it_has_a_handler_for_signals() -> None:
    (container,) = properties("MediaTask")["ContainerDefinitions"]
    assert container["LinuxParameters"] == {"InitProcessEnabled": True}


def test_calls_do_not_wait_for_their_logs() -> None:
    (container,) = properties("MediaTask")["ContainerDefinitions"]
    assert container["LogConfiguration"]["Options"]["mode"] == "non-blocking"


def metrics_of(queries: list[dict[str, Any]]) -> dict[str, tuple[str, str]]:
    """Id, metric and statistic."""
    found = [(q["Id"], q["MetricStat"]) for q in queries if "MetricStat" in q]
    return {name: (stat["Metric"]["MetricName"], stat["Stat"]) for name, stat in found}


def test_scaling_and_alarm_see_the_slots_of_tasks_that_can_get_a_call() -> None:
    """A replaced task reports its empty slots for an hour more; the balancer has forgotten it."""
    [policy] = of_type("AWS::ApplicationAutoScaling::ScalingPolicy").values()
    tracking = policy["TargetTrackingScalingPolicyConfiguration"]
    scaling = tracking["CustomizedMetricSpecification"]["Metrics"]
    alarm = properties("CallSlotsAlarm")["Metrics"]
    for queries in (scaling, alarm):
        assert queries[0]["Expression"] == "100 * calls / (slots * tasks)"
        assert metrics_of(queries) == {
            "calls": ("ActiveCalls", "Sum"),
            "slots": ("CallSlots", "Average"),
            "tasks": ("HealthyHostCount", "Average"),
        }
        assert [query.get("ReturnData", True) for query in queries] == [True, False, False, False]
    assert 50 <= tracking["TargetValue"] <= 60 < properties("CallSlotsAlarm")["Threshold"]


def test_the_sum_of_a_minute_counts_each_task_once() -> None:
    periods = {q["MetricStat"]["Period"] for q in properties("CallSlotsAlarm")["Metrics"][1:]}
    assert periods == {METRICS_SECONDS} == {60}  # and 60 s are what target tracking looks at


def test_everyone_means_the_same_port() -> None:
    (container,) = properties("MediaTask")["ContainerDefinitions"]
    (balancer,) = properties("MediaService")["LoadBalancers"]
    (egress,) = properties("LoadBalancerSecurityGroup")["SecurityGroupEgress"]
    ingress = properties("MediaTaskIngress")
    assert {
        container["PortMappings"][0]["ContainerPort"],
        balancer["ContainerPort"],
        properties("MediaTargetGroup")["Port"],
        *(rule[end] for rule in (egress, ingress) for end in ("FromPort", "ToPort")),
    } == {8080}


def test_every_size_of_a_task_has_its_memory() -> None:
    sizes = TEMPLATE["Parameters"]["MediaTaskCpu"]["AllowedValues"]
    assert {str(cpu) for cpu in sizes} == set(TEMPLATE["Mappings"]["MemoryByCpu"])


def test_a_stack_that_builds_its_image_may_push_it_where_its_tasks_pull_from() -> None:
    made = ("ImageSourceBucket", "ImageBuild", "ImageBuildLogs", "ImageBuildRole")
    assert all(resources()[name]["Condition"] == "BuildsInCloud" for name in made)
    project = resources()["ImageBuild"]["Properties"]
    assert project["Environment"]["Type"] == "ARM_CONTAINER"
    assert project["Environment"]["EnvironmentVariables"] == [
        {"Name": "REPOSITORY", "Value": {"Fn::GetAtt": ["MediaRepository", "RepositoryUri"]}}
    ]
    commands = yaml.safe_load(project["Source"]["BuildSpec"])["phases"]["build"]["commands"]
    assert [command for command in commands if "media_container/Dockerfile" in command]
    assert commands[-1] == 'docker push "$REPOSITORY:$IMAGE_TAG"'
