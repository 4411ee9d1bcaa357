"""docs/operations.md speaks of what there is: alarms, parameters, outputs."""

import re
import subprocess

from tests.support.translated import ROOT, TEMPLATE, of_type

PAGE = (ROOT / "docs/operations.md").read_text()


def test_every_alarm_has_its_section_and_no_other() -> None:
    sections = re.findall(r"(?m)^### (\w+)$", PAGE)
    watched = of_type("AWS::CloudWatch::Alarm", "AWS::Budgets::Budget")
    assert sorted(sections) == sorted(watched)


def test_every_section_says_something() -> None:
    for text in re.split(r"(?m)^### \w+$", PAGE)[1:]:
        assert len(text.split("\n## ")[0].split()) > 25


def test_commands_are_such_that_a_shell_can_read_them() -> None:
    blocks = re.findall(r"(?ms)^ *```(\w*)\n(.+?)^ *```$", PAGE)
    commands = [text for language, text in blocks if not language]
    assert commands
    for block in commands:
        read = subprocess.run(
            ["bash", "-n"], input=block.encode(), capture_output=True, check=False
        )
        assert not read.stderr, block


def test_parameters_that_commands_give_can_be_given() -> None:
    given = set(re.findall(r"[\s`]([A-Z][a-z]+[A-Z]\w+)=", PAGE))
    assert given
    assert given <= TEMPLATE["Parameters"].keys()


def test_outputs_that_commands_ask_for_are_there() -> None:
    asked = set(re.findall(r"\boutput\s+([A-Z]\w+)", PAGE))
    assert asked
    assert asked <= TEMPLATE["Outputs"].keys()
