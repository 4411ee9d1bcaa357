"""The parameters of template.yaml: what each takes, and which contradict each other."""

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
from samtranslator.yaml_helper import yaml_parse

TEMPLATE: dict[str, Any] = yaml_parse((Path(__file__).parent.parent / "template.yaml").read_text())


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
        ("OpenAiRealtimeUrl", "wss://example.com/v1/realtime", "ws://example.com/v1/realtime"),
        ("OpenAiModel", "gpt-realtime-2.1-mini", "gpt realtime"),
        ("MediaImageUri", f"{REPOSITORY}@{DIGEST}", f"{REPOSITORY}:latest"),
        ("MediaDomainName", "media.example.com", "https://media.example.com"),
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


def holds(condition: Mapping[str, Any], values: Mapping[str, str]) -> bool:
    """The part of CloudFormation's condition functions that the rules use."""
    match condition:
        case {"Fn::Not": [inner]}:
            return not holds(inner, values)
        case {"Fn::Equals": [{"Ref": name}, text]}:
            return values[name] == str(text)
    raise AssertionError(condition)


def complaints(**given: str) -> list[str]:
    defaults = {name: str(p.get("Default", "")) for name, p in TEMPLATE["Parameters"].items()}
    values = defaults | given
    return [
        assertion["AssertDescription"]
        for rule in TEMPLATE["Rules"].values()
        if holds(rule["RuleCondition"], values)
        for assertion in rule["Assertions"]
        if not holds(assertion["Assert"], values)
    ]


def test_the_first_deployment_needs_no_parameter() -> None:
    assert complaints() == []


def test_an_image_needs_a_way_to_its_sockets() -> None:
    image = f"{REPOSITORY}@{DIGEST}"
    missing = ["BasePublicUrl", "MediaCertificateArn", "MediaDomainName"]
    named = [name for name in missing for text in complaints(MediaImageUri=image) if name in text]
    assert named == missing
    assert not complaints(
        MediaImageUri=image,
        BasePublicUrl="https://api.example.com",
        MediaDomainName="media.example.com",
        MediaCertificateArn="arn:aws:acm:us-east-1:123456789012:certificate/0f0f",
    )
