"""The answers to the questions of `make deploy`. They are kept in a file that git ignores and that
holds no secret, so that the next deployment asks nothing."""

import json
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

FILE = Path(".phonebridge.toml")
"""The file is in the repository, where `make` runs."""


@dataclass(frozen=True, slots=True)
class Answers:
    region: str = ""
    stack: str = "phonebridge"
    build_in_cloud: bool = False
    parameters: Mapping[str, str] = field(default_factory=dict)
    """Parameters of template.yaml by name."""
    tags: Mapping[str, str] = field(default_factory=dict)
    """Tags of the stack, which CloudFormation gives to its resources."""

    @property
    def needs_docker(self) -> bool:
        """Whether this machine builds the image."""
        return not (self.build_in_cloud or self.get("MediaImageUri"))

    def get(self, parameter: str) -> str:
        return self.parameters.get(parameter, "")


@dataclass(frozen=True, slots=True)
class Question:
    parameter: str
    text: str
    help: str
    """How to get the answer."""
    is_optional: bool = False
    """True if an empty answer is accepted."""


QUESTIONS = (
    Question(
        "MediaDomainName",
        "Host name for the media sockets (Telnyx connects to it)",
        "any name of a domain you own, such as media.example.com",
    ),
    Question(
        "TelnyxConnectionId",
        "Id of the Telnyx Voice API application",
        "portal.telnyx.com, Voice, Voice API applications: create one and copy its id",
    ),
    Question(
        "TelnyxFromNumber",
        "Number that calls come from (E.164)",
        "portal.telnyx.com, My Numbers: buy one and assign it to the application",
    ),
    Question(
        "AlarmEmail",
        "E-mail address that gets the alarms",
        "you must confirm the message that it gets; empty: nobody is told when calls fail",
        is_optional=True,
    ),
)


def load(path: Path) -> Answers:
    if not path.exists():
        return Answers()
    known = tomllib.loads(path.read_text())
    return Answers(
        region=known.get("region", ""),
        stack=known.get("stack", "phonebridge"),
        build_in_cloud=known.get("build_in_cloud", False),
        parameters=known.get("parameters", {}),
        tags=known.get("tags", {}),
    )


def save(answers: Answers, path: Path) -> None:
    # The strings of JSON are strings of TOML.
    lines = [
        "# Your answers to `make deploy`. No secret is in here.",
        f"region = {json.dumps(answers.region)}",
        f"stack = {json.dumps(answers.stack)}",
        f"build_in_cloud = {json.dumps(answers.build_in_cloud)}",
        "",
        "[parameters]",
        *(f"{name} = {json.dumps(value)}" for name, value in answers.parameters.items()),
        "",
        "[tags]",
        *(f"{json.dumps(name)} = {json.dumps(value)}" for name, value in answers.tags.items()),
    ]
    path.write_text("\n".join(lines) + "\n")
