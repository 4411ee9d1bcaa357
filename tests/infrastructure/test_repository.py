"""What a visitor of the repository finds at its front."""

import re
from dataclasses import fields
from pathlib import Path
from typing import Any

import pytest
import yaml
from dotenv import dotenv_values

from phonebridge.settings import ControlSettings, MediaSettings

ROOT = Path(__file__).parents[2]
EXAMPLE = ROOT / ".env.example"
SET_BY_THE_STACK = {
    "CALLS_TABLE",
    "OUTCOMES_QUEUE_URL",
    "RECORDINGS_BUCKET",
    "RECORDINGS_QUEUE_URL",
}


def names_in_readme() -> set[str]:
    table = (ROOT / "README.md").read_text().partition("## Settings")[2].partition("\n## ")[0]
    return set(re.findall(r"`([A-Z][A-Z0-9]*(?:_[A-Z0-9]+)+)`", table))


def test_the_example_has_every_setting_that_a_person_gives() -> None:
    read = {field.name.upper() for of in (ControlSettings, MediaSettings) for field in fields(of)}
    telemetry = {"OTEL_EXPORTER_OTLP_ENDPOINT", "OTEL_EXPORTER_OTLP_HEADERS"}
    deployment = {"DNS_OVER_HTTPS_URL"}
    assert set(dotenv_values(EXAMPLE)) == (read - SET_BY_THE_STACK) | telemetry | deployment


def test_the_example_has_every_name_of_the_readme() -> None:
    assert names_in_readme() <= set(dotenv_values(EXAMPLE))


def test_a_copy_of_the_example_changes_nothing_until_it_is_filled_in() -> None:
    assert set(dotenv_values(EXAMPLE).values()) == {""}


def test_a_comment_explains_each_name_of_the_example() -> None:
    lines = EXAMPLE.read_text().splitlines()
    for before, line in zip(lines, lines[1:], strict=False):
        if "=" in line and not line.startswith("#"):
            assert before.startswith("# "), line


def test_the_licence_is_where_the_package_says() -> None:
    [line] = re.findall(
        r'^license-files = \["(.+)"\]$', (ROOT / "pyproject.toml").read_text(), re.M
    )
    assert (ROOT / line).read_text().startswith("MIT License")


@pytest.mark.parametrize("name", ["SECURITY.md", "CONTRIBUTING.md"])
def test_links_between_the_front_pages_lead_somewhere(name: str) -> None:
    page = ROOT / ".github" / name
    links = re.findall(r"\]\((?!https?:)([^)#]+)", page.read_text())
    assert links
    assert [link for link in links if not (page.parent / link).exists()] == []


@pytest.mark.parametrize("form", ["bug", "feature"])
def test_an_issue_form_asks_something_that_must_be_answered(form: str) -> None:
    path = ROOT / ".github" / "ISSUE_TEMPLATE" / f"{form}.yml"
    described: dict[str, Any] = yaml.safe_load(path.read_text())
    assert {"name", "description", "body"} <= described.keys()
    questions = [each for each in described["body"] if each["type"] != "markdown"]
    assert len({each["id"] for each in questions}) == len(questions)
    assert any(each.get("validations", {}).get("required") for each in questions)


def workflow() -> tuple[str, dict[str, Any]]:
    text = (ROOT / ".github/workflows/ci.yml").read_text()
    return text, yaml.safe_load(text)


def test_actions_are_pinned_to_a_commit_with_their_version_beside_it() -> None:
    text, _ = workflow()
    uses = re.findall(r"uses: (.+)", text)
    assert uses
    assert [
        each for each in uses if not re.fullmatch(r"\S+@[0-9a-f]{40} # v\d+\.\d+\.\d+", each)
    ] == []


def test_no_checkout_leaves_its_token_behind() -> None:
    _, described = workflow()
    steps = [step for job in described["jobs"].values() for step in job["steps"]]
    checkouts = [each for each in steps if each.get("uses", "").startswith("actions/checkout@")]
    assert checkouts
    assert all(each["with"]["persist-credentials"] is False for each in checkouts)


def test_node_is_set_up_before_the_tests_of_the_typescript_client_run() -> None:
    _, described = workflow()
    steps = [
        each.get("uses", "").partition("@")[0] or each["run"]
        for each in described["jobs"]["check"]["steps"]
    ]
    assert steps.index("actions/setup-node") < steps.index(".ci/run")


def test_the_first_and_the_last_python_version_are_tested() -> None:
    _, described = workflow()
    [allowed] = re.findall(
        r'^requires-python = ">=(3\.\d+),<3\.(\d+)"', (ROOT / "pyproject.toml").read_text(), re.M
    )
    first, after_last = allowed
    versions = described["jobs"]["check"]["strategy"]["matrix"]["python"]
    assert versions == [first, f"3.{int(after_last) - 1}"]
