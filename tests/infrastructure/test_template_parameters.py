"""The parameters of template.yaml: what each takes, and which contradict each other."""

import re
from enum import StrEnum
from itertools import product

import pytest

from phonebridge.settings import AuthHeader, ByteOrder, ModelAudio, SessionAck
from tests.support.conditions import complaints
from tests.support.translated import TEMPLATE


def test_every_parameter_is_described_bounded_and_grouped() -> None:
    parameters = TEMPLATE["Parameters"]
    groups = TEMPLATE["Metadata"]["AWS::CloudFormation::Interface"]["ParameterGroups"]
    assert sorted(name for group in groups for name in group["Parameters"]) == sorted(parameters)
    for parameter in parameters.values():
        assert parameter["Description"].endswith(".")
        assert {"AllowedPattern", "AllowedValues", "MaxValue"} & parameter.keys()


DIGEST = "sha256:" + "0f" * 32
REPOSITORY = "123456789012.dkr.ecr.us-east-1.amazonaws.com/phonebridge"


@pytest.mark.parametrize(
    ("name", "good", "bad"),
    [
        ("BasePublicUrl", "https://api.example.com", "https://api.example.com/"),
        ("BasePublicUrl", "", "http://api.example.com"),
        ("ApiKeyHashes", "0f" * 32 + "," + "1e" * 32, "a key in the clear"),
        ("TelnyxConnectionId", "2000000000000000001", "my app"),
        ("TelnyxFromNumber", "+15550100", "5550100"),
        ("TelnyxMinutePrice", "0.007", "7 cents"),
        ("OutcomeWebhookUrl", "https://crm.example.com/calls?key=1", "http://crm.example.com"),
        ("FallbackSay", "Please call us back.", "a" * 1001),
        ("FallbackTransferTo", "+15550142", "15550142"),
        ("OpenAiRealtimeUrl", "wss://example.com/v1/realtime", "ws://example.com/v1/realtime"),
        ("OpenAiModel", "gpt-realtime-2.1-mini", "gpt realtime"),
        ("MediaImageUri", f"{REPOSITORY}@{DIGEST}", f"{REPOSITORY}:latest"),
        ("MediaImageUri", f"public.ecr.aws/a1b2c3/media@{DIGEST}", f"media@{DIGEST}"),
        ("MediaImageUri", f"ghcr.io/someone/phone_bridge@{DIGEST}", f"ghcr.io@{DIGEST}"),
        ("AvailabilityZones", "us-west-1a,us-west-1c", "us-west-1a"),
        ("VpcId", "vpc-0123456789abcdef0", "10.0.0.0/16"),
        ("BalancerSubnetIds", "subnet-0a1b2c3d,subnet-0c2d4e6f", "subnet-0a1b2c3d"),
        ("TaskSubnetIds", "subnet-0a1b2c3d", "subnet-0a1b2c3d, subnet-0c2d4e6f"),
        ("ApiDomainName", "api.example.com", "https://api.example.com"),
        ("MediaDomainName", "media.example.com", "https://media.example.com"),
        ("JwtIssuer", "https://id.example.com/pool", "http://id.example.com"),
        ("JwtAudience", "phonebridge", "two words"),
        ("HostedZoneId", "Z0123456789ABCDEFGHIJ", "example.com"),
        ("AlarmEmail", "", "somebody"),
        ("AlarmEmail", "ops@example.com", "ops@example.com, dev@example.com"),
        ("ToolHostsAllowed", "tools.internal:8080,10.0.3.4:80", "http://tools.internal:8080"),
        ("OtlpEndpoint", "https://otlp.example.com/v1/traces", "http://otlp.example.com:4318"),
        (
            "MediaCertificateArn",
            "arn:aws:acm:us-east-1:123456789012:certificate/0f0f0f0f-1e1e",
            "arn:aws:iam::123456789012:server-certificate/mine",
        ),
    ],
)
def test_a_parameter_takes_what_is_right_and_says_what_is_wrong(
    name: str, good: str, bad: str
) -> None:
    parameter = TEMPLATE["Parameters"][name]
    assert re.fullmatch(parameter["AllowedPattern"], parameter["Default"])
    assert re.fullmatch(parameter["AllowedPattern"], good)
    assert not re.fullmatch(parameter["AllowedPattern"], bad)


KEY_HASH = "0f" * 32
CERTIFICATE = "arn:aws:acm:us-east-1:123456789012:certificate/0f0f0f0f-1e1e"
MEDIA = {
    "ApiKeyHashes": KEY_HASH,
    "MediaImageUri": f"{REPOSITORY}@{DIGEST}",
    "BasePublicUrl": "https://api.example.com",
    "MediaDomainName": "media.example.com",
    "MediaCertificateArn": CERTIFICATE,
}


OWN_VPC = {
    "VpcId": "vpc-0a1b",
    "BalancerSubnetIds": "subnet-0a1b,subnet-0c2d",
    "TaskSubnetIds": "subnet-0a1b,subnet-0c2d",
}


def test_a_vpc_of_the_user_takes_the_place_of_ours() -> None:
    assert complaints(**MEDIA | OWN_VPC) == []


def test_the_first_deployment_needs_no_more_than_somebody_to_let_in() -> None:
    assert complaints(ApiKeyHashes=KEY_HASH) == []
    assert complaints(JwtIssuer="https://id.example.com", JwtAudience="phonebridge") == []


def test_an_image_and_a_way_to_its_sockets_make_a_media_plane() -> None:
    assert complaints(**MEDIA) == []


def test_a_hosted_zone_does_instead_of_certificates() -> None:
    by_zone = {"HostedZoneId": "Z0123456789", "MediaCertificateArn": ""}
    assert complaints(**MEDIA | by_zone) == []
    own_name = {"ApiDomainName": "api.example.com", "BasePublicUrl": ""}
    assert complaints(**MEDIA | by_zone | own_name) == []


@pytest.mark.parametrize(
    ("given", "named"),
    [
        ({"ApiKeyHashes": ""}, "ApiKeyHashes or JwtIssuer is needed"),
        (
            {"JwtIssuer": "https://id.example.com", "JwtAudience": "x"},
            "ApiKeyHashes and JwtIssuer exclude each other",
        ),
        (
            {"ApiKeyHashes": "", "JwtIssuer": "https://id.example.com"},
            "JwtIssuer needs JwtAudience",
        ),
        ({"JwtAudience": "x"}, "JwtAudience means nothing without JwtIssuer"),
        ({"BasePublicUrl": ""}, "MediaImageUri needs BasePublicUrl or ApiDomainName"),
        ({"MediaDomainName": ""}, "MediaImageUri needs MediaDomainName"),
        ({"MediaCertificateArn": ""}, "MediaImageUri needs MediaCertificateArn, or HostedZoneId"),
        (
            {"ApiDomainName": "api.example.com", "ApiCertificateArn": CERTIFICATE},
            "ApiDomainName makes BasePublicUrl needless",
        ),
        (
            {"ApiDomainName": "api.example.com", "BasePublicUrl": ""},
            "ApiDomainName needs ApiCertificateArn, or HostedZoneId",
        ),
        ({"ApiCertificateArn": CERTIFICATE}, "ApiCertificateArn needs ApiDomainName"),
        ({"MaxCallsPerTask": 40}, "MaxCallsPerTask is more than MediaTaskCpu carries"),
        ({"MediaTasksMin": 5, "MediaTasksMax": 2}, "MediaTasksMin is above MediaTasksMax"),
        ({"VpcId": "vpc-1"}, "VpcId needs BalancerSubnetIds and TaskSubnetIds"),
        ({"TaskSubnetIds": "subnet-1"}, "BalancerSubnetIds and TaskSubnetIds need VpcId"),
        (
            OWN_VPC | {"AvailabilityZones": "us-east-1a,us-east-1b"},
            "AvailabilityZones is for the stack's own VPC",
        ),
    ],
    ids=str,
)
def test_parameters_that_contradict_each_other_are_told_in_a_sentence(
    given: dict[str, object], named: str
) -> None:
    [complaint] = complaints(**MEDIA | given)
    assert complaint.startswith(named)
    assert complaint.endswith(".")


def allowed(parameter: str) -> list[int]:
    found: list[int] = TEMPLATE["Parameters"][parameter]["AllowedValues"]
    return found


@pytest.mark.parametrize(
    ("parameter", "kind"),
    [
        ("ModelAudio", ModelAudio),
        ("L16ByteOrder", ByteOrder),
        ("OpenAiAuthHeader", AuthHeader),
        ("OpenAiSessionAck", SessionAck),
    ],
)
def test_a_choice_is_the_containers_own(parameter: str, kind: type[StrEnum]) -> None:
    assert TEMPLATE["Parameters"][parameter]["AllowedValues"] == [str(choice) for choice in kind]


def test_the_least_tasks_are_never_more_than_the_most() -> None:
    for least, limit in product(allowed("MediaTasksMin"), allowed("MediaTasksMax")):
        said = complaints(**MEDIA, MediaTasksMin=least, MediaTasksMax=limit)
        assert bool(said) == (least > limit), (least, limit)


def test_a_task_has_a_hundredth_of_a_core_at_least_for_each_call() -> None:
    """Docs/performance.md: 0.006 of a core on the machine of the benchmark, without TLS."""
    for cpu, calls in product(allowed("MediaTaskCpu"), allowed("MaxCallsPerTask")):
        if not complaints(**MEDIA, MediaTaskCpu=cpu, MaxCallsPerTask=calls):
            assert cpu / 1024 / calls >= 0.01, (cpu, calls)
