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
from collections.abc import Iterator, Mapping
from pathlib import Path

import moto.settings
import pytest

from benchmarks.media.certificate import self_signed
from deployment import image, plan
from deployment.answers import QUESTIONS, Answers
from deployment.stack import DeployedStack
from tests.support.aws_front import PROTECTION, AwsFront, aws_front
from tests.support.aws_programs import DIGEST
from tests.support.deployers import Machine
from tests.support.deployments import KEYS, deploying_machine, settings, world
from tests.support.doctor_setups import NUMBER
from tests.support.waiting import until


@pytest.fixture
def front(dynamodb_address: str) -> Iterator[AwsFront]:
    with aws_front(dynamodb_address) as front:
        yield front


@pytest.fixture
def machine(tmp_path: Path, front: AwsFront) -> Machine:
    return deploying_machine(tmp_path, front)


def problems(printed: str) -> list[str]:
    """What keeps the deployment from starting."""
    before, _, after = printed.partition("deploy: nothing was changed, for this is missing")
    assert "==" not in before, printed
    return after.splitlines()[1:]


def push_image(machine: Machine) -> str:
    """Put the image of this source into the repository and return its digest."""
    stored = machine.client("ecr").put_image(
        repositoryName=f"{machine.stack}-media",
        imageManifest=json.dumps({"schemaVersion": 2, "layers": []}),
        imageManifestMediaType="application/vnd.oci.image.manifest.v1+json",
        imageTag=image.tag(),
    )
    digest: str = stored["image"]["imageId"]["imageDigest"]
    return digest


async def test_from_nothing_to_a_stack_that_answers(machine: Machine) -> None:
    async with world(machine) as (well, given):
        well.telnyx.account.webhook_event_url = "https://old.example/"
        code, printed = await machine.deploy(*given)
        assert code == 0, printed
        assert well.telnyx.account.webhook_event_url == well.subject.webhook_url
    assert code == 0, printed
    assert machine.done() == [
        "docker login",
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
    [key] = re.findall(r"keep it\): (\w{64})$", printed.strip())
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
    checks = ["docker buildx", "docker info", "docker login"]
    assert again == [*checks, "sam build", "docker login", "docker buildx", "sam deploy"]
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
        known["AlarmEmail"] = "you@example.com"
        typed = [known[q.parameter] for q in QUESTIONS] + [known["HostedZoneId"], *KEYS.values()]
        url = ("--set", f"OpenAiRealtimeUrl={known['OpenAiRealtimeUrl']}")
        command = ("deploy.py", "--stack", machine.stack, *url)
        code, printed = await machine.converse(*command, answers=typed)
    assert code == 0, printed
    assert "very-secret" not in printed
    assert machine.secret()["OPENAI_API_KEY"] == KEYS["OPENAI_API_KEY"]
    assert machine.parameters(-1)["TelnyxFromNumber"] == NUMBER
    assert machine.parameters(-1)["AlarmEmail"] == "you@example.com"


async def test_an_image_that_the_repository_has_is_not_built_again(machine: Machine) -> None:
    async with world(machine) as (_, given):
        assert (await machine.deploy(*given))[0] == 0
        before = len(machine.notes)
        digest = push_image(machine)
        assert (await machine.deploy())[0] == 0
    programs = [n["arguments"][0] for n in machine.notes[before:] if n["program"] == "docker"]
    assert programs == ["buildx", "info", "login"], "checked, but nothing is built"
    assert machine.parameters(2)["MediaImageUri"].endswith(digest)


PUBLISHED = "public.ecr.aws/phonebridge/media@sha256:" + "1e" * 32


async def test_a_published_image_needs_neither_docker_nor_a_build(machine: Machine) -> None:
    (machine.folder / "bin" / "docker").unlink()
    async with world(machine) as (_, given):
        code, printed = await machine.deploy(*given, "--set", f"MediaImageUri={PUBLISHED}")
    assert code == 0, printed
    assert [each["arguments"][0] for each in machine.notes] == ["build", "deploy", "deploy"]
    assert "MediaImageUri" not in machine.parameters(0), "the keys are not in the secret yet"
    assert machine.parameters(1)["MediaImageUri"] == PUBLISHED
    assert machine.secret()["OPENAI_API_KEY"] == KEYS["OPENAI_API_KEY"]


async def test_tags_reach_the_stack_and_are_remembered(machine: Machine) -> None:
    async with world(machine) as (_, given):
        code, printed = await machine.deploy(*given, "--tag", "cost-center=voice bots")
        assert code == 0, printed
        assert (await machine.deploy())[0] == 0
    deploys = [each["arguments"] for each in machine.notes if each["arguments"][0] == "deploy"]
    for arguments in deploys:
        after = arguments[arguments.index("--tags") + 1 :]
        assert after[:2] == ['cost-center="voice bots"', "--parameter-overrides"]


async def test_a_tag_without_a_value_is_refused(machine: Machine) -> None:
    code, printed = await machine.deploy("--tag", "production")
    assert (code, printed.strip()) == (1, "deploy: --tag takes NAME=VALUE, not production")


async def test_a_deployed_stack_is_protected_against_deletion(
    machine: Machine, front: AwsFront
) -> None:
    async with world(machine) as (_, given):
        assert (await machine.deploy(*given))[0] == 0
    executed = [n for n, each in enumerate(front.asked) if each.endswith(":ExecuteChangeSet")]
    assert front.asked.index(PROTECTION) > executed[-1]


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
            digest = push_image(machine)
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
    code, printed = await machine.deploy(*settings(machine))
    assert code == 1
    assert problems(printed) == [
        "  docker: install docker with buildx and start it, build in AWS (make deploy "
        "ARGS=--build-in-cloud), or give a published image (--set MediaImageUri=…)"
    ]


def import_certificate(machine: Machine) -> str:
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
    other = import_certificate(machine)
    pending = acm.request_certificate(DomainName="*.example.com")["CertificateArn"]
    unknown = f"arn:aws:acm:us-east-1:123456789012:certificate/{uuid.uuid4()}"
    for arn, told in (
        (other, "is not for media.example.com"),
        (pending, "is PENDING_VALIDATION: create the validation record"),
        (unknown, "cannot be read"),
        (unknown.replace("us-east-1", "eu-west-1"), "is not in us-east-1"),
    ):
        code, printed = await machine.deploy(
            *settings(machine, MediaCertificateArn=arn, HostedZoneId="")
        )
        [line] = problems(printed)
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
    [line] = problems(printed)
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
    assert "deploy: `sam build` failed (3); see above" in printed
    assert "Nothing that costs money was created" in printed


async def test_an_end_that_is_not_well_is_told(machine: Machine) -> None:
    async with world(machine) as (well, given):
        well.telnyx.account.outbound_voice_profile_id = None
        code, printed = await machine.deploy(*given)
    assert code == 1
    assert "FAIL  Telnyx outbound voice profile" in printed
    assert "deploy: deployed, but not all is well" in printed


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


async def test_a_failed_creation_is_deleted_before_the_next_try(
    machine: Machine, front: AwsFront
) -> None:
    async with world(machine) as (_, given):
        create = {"Resources": {"Topic": {"Type": "AWS::SNS::Topic"}}}
        machine.client("cloudformation").create_stack(
            StackName=machine.stack, TemplateBody=json.dumps(create)
        )
        front.show_stack(machine.stack, "ROLLBACK_COMPLETE")
        code, printed = await machine.deploy(*given)
    assert code == 0, printed
    assert f"Delete stack {machine.stack}, whose creation failed" in printed
    assert front.asked.index("cloudformation:DeleteStack") < front.asked.index(
        "cloudformation:ExecuteChangeSet"
    )


async def test_an_operation_that_runs_is_waited_for(machine: Machine, front: AwsFront) -> None:
    async with world(machine) as (_, given):
        front.show_stack(machine.stack, "DELETE_IN_PROGRESS")
        code, printed = await machine.deploy(*given)
    assert code == 0, printed
    assert f"stack {machine.stack} is DELETE_IN_PROGRESS: somebody changes it" in printed


async def test_a_state_that_only_a_person_can_mend_is_explained(
    machine: Machine, front: AwsFront
) -> None:
    front.show_stack(machine.stack, "UPDATE_ROLLBACK_FAILED")
    code, printed = await machine.deploy()
    assert code == 1
    [line] = problems(printed)
    assert "aws cloudformation continue-update-rollback" in line
    assert machine.notes == []


async def test_a_deployment_that_fails_still_shows_the_key_it_made(
    machine: Machine, front: AwsFront
) -> None:
    """Last, with what is left and what to run before it; the next try uses the same key."""
    async with world(machine) as (well, given):
        front.refuse("ecr:DescribeImages", "ServerException", "not today")
        code, printed = await machine.deploy(*given)
        assert code == 1
        assert f"Stack {machine.stack} exists (the control plane" in printed
        assert "run `make deploy` again: it goes on from here" in printed
        [key] = re.findall(r"keep it\): (\w{64})", printed)
        front.forget("ecr:DescribeImages")
        code, printed = await machine.deploy()
        assert code == 0, printed
    assert "keep it" not in printed
    assert machine.parameters(-1)["ApiKeyHashes"] == hashlib.sha256(key.encode()).hexdigest()


async def test_a_rotated_key_reaches_both_planes(machine: Machine) -> None:
    async with world(machine) as (_, given):
        assert (await machine.deploy(*given))[0] == 0
        before = machine.parameters(-1)["ProviderSecretVersion"]
        assert (await machine.deploy())[0] == 0
        assert machine.parameters(-1)["ProviderSecretVersion"] == before, "nothing has changed"
        machine.environ["OPENAI_API_KEY"] = "sk-test-very-secret-too"
        code, printed = await machine.deploy()
    assert code == 0, printed
    assert machine.secret()["OPENAI_API_KEY"] == "sk-test-very-secret-too"
    assert machine.parameters(-1)["ProviderSecretVersion"] != before


async def test_a_docker_that_cannot_log_in_is_found_before_anything_changes(
    machine: Machine,
) -> None:
    async with world(machine) as (_, given):
        machine.environ["DOCKER_LOGIN_FAILS"] = "1"
        code, printed = await machine.deploy(*given)
    assert code == 1
    [line] = problems(printed)
    assert line.startswith("  docker login: docker cannot log in to 123456789012.dkr.ecr.")
    assert "docker-credential-desktop not found" in line
    assert "credsStore" in line


async def test_an_account_that_may_build_nothing_is_told_so(
    machine: Machine, front: AwsFront, build_project: str
) -> None:
    """Where the quota could not be read beforehand."""
    front.set_quotas(fargate=6, vpc=10_000)
    message = "Cannot have more than 0 builds in queue for the account"
    front.refuse("codebuild:StartBuild", "AccountLimitExceededException", message)
    async with world(machine) as (_, given):
        code, printed = await machine.deploy("--build-in-cloud", *given)
    assert code == 1
    assert "CodeBuild builds nothing in this account yet" in printed
    assert "ask AWS Support" in printed
