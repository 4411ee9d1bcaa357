"""`make deploy` from an empty account to a working stack, and its messages when it cannot deploy.

The program is the real one. `sam` and `docker` record their commands, moto replaces AWS, and the
simulators replace the providers.
"""

import asyncio
import hashlib
import io
import json
import math
import re
import tomllib
import uuid
import zipfile
from collections.abc import AsyncIterator, Mapping
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path

import moto.settings
import pytest

from benchmarks.media.certificate import self_signed
from deployment import image, plan
from deployment.answers import QUESTIONS, Answers
from deployment.stack import DeployedStack
from simulators.telnyx.account import CONNECTION_ID
from tests.support.aws_programs import DIGEST
from tests.support.deployers import Machine
from tests.support.doctor_setups import NUMBER, House, Patient, opened, patient
from tests.support.waiting import until

KEYS = {"OPENAI_API_KEY": "sk-test-very-secret", "TELNYX_API_KEY": "KEY-test-very-secret"}


def settings(**more: str) -> list[str]:
    given = {
        "TelnyxConnectionId": CONNECTION_ID,
        "TelnyxFromNumber": NUMBER,
        "MediaDomainName": "media.example.com",
        "HostedZoneId": "Z0123456789ABCDEFGHIJ",
    } | more
    return [part for name, value in given.items() for part in ("--set", f"{name}={value}")]


@pytest.fixture
def machine(tmp_path: Path, dynamodb_address: str) -> Machine:
    return Machine(tmp_path, dynamodb_address)


def pushed(machine: Machine) -> str:
    """Put the image of this source into the repository and return its digest."""
    stored = machine.client("ecr").put_image(
        repositoryName=f"{machine.stack}-media",
        imageManifest=json.dumps({"schemaVersion": 2, "layers": []}),
        imageManifestMediaType="application/vnd.oci.image.manifest.v1+json",
        imageTag=image.tag(),
    )
    digest: str = stored["image"]["imageId"]["imageDigest"]
    return digest


@asynccontextmanager
async def world(machine: Machine) -> AsyncIterator[tuple[Patient, list[str]]]:
    """Run the providers and the servers of the stack, and set the settings that lead to them."""
    certificate = self_signed(machine.folder, "localhost", days=90)
    secure = House(certificate=certificate)
    async with AsyncExitStack() as exits:
        well = await exits.enter_async_context(patient(House()))
        exits.enter_context(opened(secure))
        machine.environ |= KEYS | {
            "API_URL": well.subject.base_public_url,
            "TELNYX_API_BASE": well.telnyx.api_base,
            "SSL_CERT_FILE": certificate,
        }
        yield (
            well,
            settings(
                MediaDomainName=f"localhost:{secure.port}",
                OpenAiRealtimeUrl=well.subject.openai_realtime_url,
            ),
        )


async def test_from_nothing_to_a_stack_that_answers(machine: Machine) -> None:
    async with world(machine) as (well, given):
        well.telnyx.account.webhook_event_url = "https://old.example/"
        code, printed = await machine.deploy(*given)
        assert well.telnyx.account.webhook_event_url == well.subject.webhook_url
    assert code == 0, printed
    assert machine.done() == [
        "sam build",
        "sam deploy",
        "docker login",
        "docker buildx",
        "sam deploy",
    ]
    assert "FAIL" not in printed
    first, second = machine.parameters(0), machine.parameters(1)
    assert "MediaImageUri" not in first
    assert second["MediaImageUri"].endswith(f"-media@{DIGEST}")
    assert second["BasePublicUrl"] == well.subject.base_public_url
    assert second["ApiKeyHashes"] == first["ApiKeyHashes"]
    [key] = re.findall(r"keep it\): (\w{64})", printed)
    assert hashlib.sha256(key.encode()).hexdigest() == first["ApiKeyHashes"]
    assert machine.secret() == {
        **KEYS,
        "TELNYX_PUBLIC_KEY": well.telnyx.public_key,
        "STREAM_TOKEN_SECRET": "made at birth",
    }


async def test_the_second_time_nothing_is_asked_and_the_key_stays(machine: Machine) -> None:
    async with world(machine) as (_, given):
        assert (await machine.deploy(*given))[0] == 0
        before = len(machine.notes)
        for name in KEYS:
            del machine.environ[name]
        code, printed = await machine.deploy()
    assert code == 0, printed
    again = [f"{n['program']} {n['arguments'][0]}" for n in machine.notes[before:]]
    assert again == ["docker buildx", "docker info", "sam build", "docker login", "docker buildx",
                     "sam deploy"]  # fmt: skip
    assert "keep it" not in printed
    assert machine.parameters(2) == machine.parameters(1)


async def test_no_secret_leaves_the_keyboard_but_for_the_secret(machine: Machine) -> None:
    async with world(machine) as (_, given):
        _, printed = await machine.deploy(*given)
    remembered = (machine.folder / ".phonebridge.toml").read_text()
    assert tomllib.loads(remembered)["parameters"]["TelnyxFromNumber"] == NUMBER
    for text in (remembered, json.dumps(machine.notes), printed):
        assert "very-secret" not in text


async def test_a_misspelt_parameter_is_told_before_it_is_remembered(machine: Machine) -> None:
    async with world(machine) as (_, given):
        code, printed = await machine.deploy(*given, "--set", "AlarmMail=you@example.com")
    assert code == 1
    assert "nothing was changed" in printed
    assert "AlarmMail: template.yaml has no such parameter" in printed
    assert "sam build" not in machine.done()
    assert not (machine.folder / ".phonebridge.toml").exists()


async def test_at_a_terminal_what_is_not_known_is_asked(machine: Machine) -> None:
    async with world(machine) as (_, given):
        known = dict(each.split("=", 1) for each in given if "=" in each)
        for name in KEYS:
            del machine.environ[name]
        typed = [known[q.parameter] for q in QUESTIONS] + [known["HostedZoneId"], *KEYS.values()]
        url = ("--set", f"OpenAiRealtimeUrl={known['OpenAiRealtimeUrl']}")
        command = ("deploy.py", "--stack", machine.stack, *url)
        code, printed = await machine.converse(*command, answers=typed)
    assert code == 0, printed
    assert "very-secret" not in printed
    assert machine.secret()["OPENAI_API_KEY"] == KEYS["OPENAI_API_KEY"]
    assert machine.parameters(-1)["TelnyxFromNumber"] == NUMBER


async def test_an_image_that_the_repository_has_is_not_built_again(machine: Machine) -> None:
    async with world(machine) as (_, given):
        assert (await machine.deploy(*given))[0] == 0
        before = len(machine.notes)
        digest = pushed(machine)
        assert (await machine.deploy())[0] == 0
    programs = [n["arguments"][0] for n in machine.notes[before:] if n["program"] == "docker"]
    assert programs == ["buildx", "info"], "looked for, not used"
    assert machine.parameters(2)["MediaImageUri"].endswith(digest)


@pytest.fixture
def build_project(machine: Machine) -> str:
    """Create a project like the stack's own. moto supports neither the resource nor its builds."""
    bucket, name = f"{machine.stack}-image-source", f"{machine.stack}-image"
    machine.client("s3").create_bucket(Bucket=bucket)
    machine.client("codebuild").create_project(
        name=name,
        source={"type": "S3", "location": f"{bucket}/sources/source.zip"},
        artifacts={"type": "NO_ARTIFACTS"},
        environment={
            "type": "ARM_CONTAINER",
            "image": "aws/codebuild/amazonlinux-aarch64-standard:3.0",
            "computeType": "BUILD_GENERAL1_SMALL",
        },
        serviceRole="arn:aws:iam::123456789012:role/service-role/build",
    )
    return name


async def test_without_docker_the_image_is_built_in_the_account(
    machine: Machine, build_project: str
) -> None:
    (machine.folder / "bin" / "docker").unlink()
    async with world(machine) as (_, given):
        code, printed = await machine.deploy("--build-in-cloud", *given)
        assert (code, "deploy: the image was not built" in printed) == (1, True), printed

        async with asyncio.TaskGroup() as tasks:
            deploying = tasks.create_task(machine.deploy())
            builds = machine.client("codebuild")
            await until(
                lambda: len(builds.list_builds_for_project(projectName=build_project)["ids"]) == 2
            )
            digest = pushed(machine)
        code, printed = await deploying
    assert code == 0, printed
    assert machine.parameters(0)["BuildInCloud"] == "yes"
    assert machine.parameters(-1)["MediaImageUri"].endswith(digest)
    source = machine.client("s3").get_object(
        Bucket=f"{machine.stack}-image-source", Key=f"sources/{image.tag()}.zip"
    )
    names = zipfile.ZipFile(io.BytesIO(source["Body"].read())).namelist()
    assert "media_container/Dockerfile" in names
    assert "shared/phonebridge/call/call.py" in names


async def test_everything_that_is_missing_is_told_and_nothing_is_changed(machine: Machine) -> None:
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_DEFAULT_REGION"):
        machine.environ[name] = ""
    machine.environ["PATH"] = "/nonexistent"
    code, printed = await machine.deploy()
    assert code == 1
    assert "nothing was changed" in printed
    for what in (
        "AWS credentials: sign in",
        "region: set AWS_REGION",
        "docker: install docker",
        "sam: ",
        "certificate: request one",
        "MediaDomainName: ",
        "TelnyxConnectionId: ",
        "TelnyxFromNumber: ",
        "OPENAI_API_KEY: make one",
        "TELNYX_API_KEY: make one",
    ):
        assert f"\n  {what}" in printed, what
    assert machine.notes == []
    assert not (machine.folder / ".phonebridge.toml").exists()


async def test_a_docker_that_does_not_run_is_no_docker(machine: Machine) -> None:
    machine.environ |= KEYS | {"DOCKER_IS_DOWN": "1"}
    code, printed = await machine.deploy(*settings())
    assert code == 1
    assert printed.splitlines()[1:] == [
        "  docker: install docker with buildx and start it, or build in AWS: "
        "make deploy ARGS=--build-in-cloud"
    ]


def imported(machine: Machine) -> str:
    """Import a certificate for another name."""
    pem = Path(self_signed(machine.folder, "localhost")).read_bytes()
    arn: str = machine.client("acm").import_certificate(Certificate=pem, PrivateKey=pem)[
        "CertificateArn"
    ]
    return arn


async def test_a_certificate_that_does_not_fit_is_told(
    machine: Machine, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(moto.settings, "ACM_VALIDATION_WAIT", math.inf)  # else issued after 60 s
    machine.environ |= KEYS
    acm = machine.client("acm")
    other = imported(machine)
    pending = acm.request_certificate(DomainName="*.example.com")["CertificateArn"]
    unknown = f"arn:aws:acm:us-east-1:123456789012:certificate/{uuid.uuid4()}"
    for arn, told in (
        (other, "is not for media.example.com"),
        (pending, "is PENDING_VALIDATION: create the validation record"),
        (unknown, "cannot be read"),
        (unknown.replace("us-east-1", "eu-west-1"), "is not in us-east-1"),
    ):
        code, printed = await machine.deploy(*settings(MediaCertificateArn=arn, HostedZoneId=""))
        [line] = printed.splitlines()[1:]
        assert (code, line.startswith(f"  certificate: {arn} {told}")) == (1, True), line
    assert not [n for n in machine.notes if n["program"] == "sam"]


@pytest.mark.parametrize(
    ("broken", "told"),
    [
        ({"TELNYX_API_KEY": "KEY-wrong"}, "Telnyx API key: Telnyx does not accept it."),
        ({"OPENAI_API_KEY": "sk-wrong-0123456789"}, "OpenAI API key: OpenAI does not accept it"),
    ],
)
async def test_a_key_that_is_refused_changes_nothing_either(
    machine: Machine, broken: Mapping[str, str], told: str
) -> None:
    async with world(machine) as (_, given):
        machine.environ |= broken
        code, printed = await machine.deploy(*given)
    assert code == 1
    [line] = printed.splitlines()[1:]
    assert line.startswith(f"  {told}")
    assert not [n for n in machine.notes if n["program"] == "sam"]


def test_values_reach_sam_whole_and_names_of_ones_own_replace_the_url_that_was_found() -> None:
    found = DeployedStack("phonebridge", "us-east-1", {}, {"ApiUrl": "https://found.example"})
    own = {"ApiDomainName": "api.example.com", "JwtAudience": "two words"}
    assert plan.parameters(Answers(), found, None) == {"BasePublicUrl": "https://found.example"}
    parameters = plan.parameters(Answers(parameters=own), found, None)
    assert plan.sam_deploy(Answers(), parameters)[-3:] == [
        'ApiDomainName="api.example.com"',
        'BasePublicUrl=""',
        'JwtAudience="two words"',
    ]


def test_whose_names_are_elsewhere_is_told_what_each_must_point_at() -> None:
    outputs = {
        "MediaLoadBalancerName": "balancer.example.net",
        "ApiDomainTarget": "d-1.example.net",
    }
    stack = DeployedStack("phonebridge", "us-east-1", {}, outputs)
    media = {"MediaDomainName": "media.example.com"}
    api = {"ApiDomainName": "api.example.com"}
    assert plan.names_to_point(Answers(parameters=media), stack) == {
        "media.example.com": "balancer.example.net"
    }
    assert plan.names_to_point(Answers(parameters=media | api), stack) == {
        "media.example.com": "balancer.example.net",
        "api.example.com": "d-1.example.net",
    }
    zone = {"HostedZoneId": "Z0123456789ABCDEFGHIJ"}
    assert plan.names_to_point(Answers(parameters=media | api | zone), stack) == {}


async def test_what_sam_complains_about_ends_the_deployment(machine: Machine) -> None:
    async with world(machine) as (_, given):
        (machine.folder / "bin" / "sam").write_text("#!/bin/sh\nexit 3\n")
        code, printed = await machine.deploy(*given)
    assert code == 1
    assert printed.splitlines()[-1] == "deploy: `sam build` failed (3); see above"


async def test_an_end_that_is_not_well_is_told(machine: Machine) -> None:
    async with world(machine) as (well, given):
        well.telnyx.account.outbound_voice_profile_id = None
        code, printed = await machine.deploy(*given)
    assert code == 1
    assert "FAIL  Telnyx outbound voice profile" in printed
    assert printed.splitlines()[-1].startswith("Deployed, but not every check passed")


async def test_the_doctor_examines_a_deployed_stack(machine: Machine) -> None:
    async with world(machine) as (_, given):
        assert (await machine.deploy(*given))[0] == 0
        for name in (*KEYS, "API_URL"):
            del machine.environ[name]
        code, printed = await machine.run("doctor.py", "--stack", machine.stack)
        assert (code, "FAIL" in printed) == (0, False), printed
        code, printed = await machine.run("doctor.py", "--stack", "another")
    assert (code, printed.strip()) == (
        1,
        "doctor: there is no stack another; `make deploy` makes one",
    )


async def test_the_doctor_finds_no_keys_in_a_stack_that_never_came_about(machine: Machine) -> None:
    template = {"Resources": {"Topic": {"Type": "AWS::SNS::Topic"}}}
    machine.client("cloudformation").create_stack(
        StackName=machine.stack, TemplateBody=json.dumps(template)
    )
    code, printed = await machine.run("doctor.py", "--stack", machine.stack)
    assert code == 1
    assert printed.startswith("FAIL  OpenAI API key: OPENAI_API_KEY is not set")
