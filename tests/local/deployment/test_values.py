"""Answers that CloudFormation would refuse are refused before anything is built."""

import pytest

from aws.template import load_template
from deployment.values import check_values

PARAMETERS = load_template().parameters


@pytest.mark.parametrize(
    ("name", "value", "problem"),
    [
        ("HostedZoneId", "example.com", "must be the id of a hosted zone"),
        ("MediaDomainName", "https://media.example.com", "must be a host name"),
        ("MediaTasksMin", "3", "is not one of 1, 2, 5"),
        ("MaxCallMinutes", "56", "is not from 1 to 55"),
        ("MaxCallMinutes", "an hour", "is not a number"),
        ("VpcMode", "Private", "is not one of public, private"),
        ("AlarmEmail", "you", "must be an e-mail address"),
    ],
)
def test_a_value_that_the_template_does_not_allow(name: str, value: str, problem: str) -> None:
    [missing] = check_values({name: value}, PARAMETERS)
    assert missing.what == name
    assert problem in missing.how
    assert value in missing.how


def test_every_default_is_allowed() -> None:
    defaults = {n: str(p["Default"]) for n, p in PARAMETERS.items() if "Default" in p}
    assert list(check_values(defaults, PARAMETERS)) == []


def test_every_pattern_says_what_it_wants() -> None:
    patterned = [p for p in PARAMETERS.values() if "AllowedPattern" in p]
    assert patterned
    assert all(p["ConstraintDescription"] for p in patterned)
