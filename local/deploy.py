"""Deploys the stack, prompts for missing settings, and checks that everything answers: `make
deploy`.

It changes nothing before it has checked everything. Answers are remembered in .phonebridge.toml.
Keys go from the environment, `.env` or the keyboard into Secrets Manager, never into a parameter or
a file.
"""

import argparse
import hashlib
import secrets
import subprocess
import sys
from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from functools import partial

import boto3
import httpx
from botocore.exceptions import BotoCoreError, ClientError

import doctor
from deployment import account, image, plan, preconditions, prompts
from deployment import answers as remembered
from deployment.answers import Answers
from deployment.leftovers import start_over
from deployment.operation import OperationFailed, Operations
from deployment.problems import Missing
from deployment.public_dns import PublicDns
from deployment.stack import (
    DeployedStack,
    fill_secret,
    keys_of,
    look_up,
    protect,
    require,
    secret_version,
)
from deployment.stack_status import FirstAction, first_action, remedy
from dev import load_settings
from doctor_checks.carrier import TelnyxAccount
from doctor_checks.config import WEBHOOK_PATH, DoctorConfig


class StepFailed(Exception):
    """A step of the deployment could not be done; the message says why."""


FAILURES = (
    StepFailed,
    OperationFailed,
    image.BuildFailed,
    BotoCoreError,
    ClientError,
    httpx.HTTPError,
)


@dataclass(slots=True)
class Deployment:
    """Executes the steps of a plan one after the other."""

    answers: Answers
    keys: Mapping[str, str]
    image: str | None = None

    def carry_out(self, step: plan.Step) -> None:
        print(f"\n== {type(step).__doc__} (usually {step.usually})", flush=True)
        match step:
            case plan.PrepareAccount():
                self._prepare_account()
            case plan.BuildCode():
                run(plan.sam_build())
            case plan.DeployStack(with_image):
                self._deploy(self.image if with_image else None)
            case plan.FillSecret():
                fill_secret(self._stack(), self._with_public_key())
            case plan.MakeImage(in_cloud):
                self.image = self._image(in_cloud)
            case plan.PointTelnyx():
                point_telnyx(self._subject())
            case plan.ProtectStack():
                protect(self.answers.stack, self.answers.region, is_protected=True)
            case plan.Examine():
                self._examine()

    def _prepare_account(self) -> None:
        session = boto3.Session(region_name=self.answers.region)
        if refused := list(account.create_service_roles(session)):
            raise StepFailed("\n".join(["the account is not ready:", *map(str, refused)]))

    def _stack(self) -> DeployedStack:
        return require(self.answers.stack, self.answers.region)

    def _subject(self) -> DoctorConfig:
        return doctor.config_of_stack(self.answers.stack, self.answers.region)

    def _deploy(self, image_uri: str | None) -> None:
        name, region = self.answers.stack, self.answers.region
        deployed = look_up(name, region)
        version = secret_version(self._stack()) if image_uri else ""
        operations = Operations(name, region)
        known = operations.change_sets()
        run(
            plan.sam_deploy(
                self.answers, plan.parameters(self.answers, deployed, image_uri, version)
            )
        )
        for change_set in operations.change_sets() - known:
            is_new = image_uri is not None and not (deployed and deployed.has_media_plane)
            operations.execute(change_set, is_media_plane_new=is_new)

    def _image(self, in_cloud: bool) -> str:
        stack = self._stack()
        if known := image.find(stack):
            print("the repository already has this image")
            return known
        return image.build_in_cloud(stack) if in_cloud else image.build_here(stack, run)

    def _with_public_key(self) -> Mapping[str, str]:
        subject = DoctorConfig.from_env({**load_settings(), **self.keys})
        with TelnyxAccount(subject) as account:
            return {**self.keys, "TELNYX_PUBLIC_KEY": account.data("/public_key")["public"]}

    def _examine(self) -> None:
        stack = self._stack()
        for name, target in plan.names_to_point(self.answers, stack).items():
            print(f"DNS: {name} must be a CNAME of {target}")
        if not doctor.report(self._subject(), stack):
            raise StepFailed(
                "deployed, but not all is well: see above. "
                f'`make doctor ARGS="--stack {stack.name}"` asks again'
            )
        print(f"\nDeployed: {stack.public_url}")


def point_telnyx(subject: DoctorConfig) -> None:
    """Set the webhook URL of the application. The update must repeat its name (Telnyx, "Update a
    call control application")."""
    path = f"/call_control_applications/{subject.telnyx_connection_id}"
    with TelnyxAccount(subject) as account:
        application = account.data(path)
        if application is None:
            raise StepFailed(f"Telnyx knows no application {subject.telnyx_connection_id}")
        account.change(
            path,
            application_name=application["application_name"],
            webhook_event_url=subject.base_public_url + WEBHOOK_PATH,
            webhook_api_version="2",
        )


def run(command: list[str]) -> None:
    try:
        subprocess.run(command, check=True, cwd=image.ROOT)
    except subprocess.CalledProcessError as error:
        failed = f"`{' '.join(command[:3])}` failed ({error.returncode}); see above"
        raise StepFailed(failed) from error


def _new_api_key(answers: Answers) -> str | None:
    """Generate an API key if there is no other way to authenticate. Only its hash is stored."""
    return (
        None if answers.get("ApiKeyHashes") or answers.get("JwtIssuer") else secrets.token_hex(32)
    )


def _with_hash(answers: Answers, key: str | None) -> Answers:
    if key is None:
        return answers
    digest = hashlib.sha256(key.encode()).hexdigest()
    return replace(answers, parameters={**answers.parameters, "ApiKeyHashes": digest})


def _keys() -> dict[str, str]:
    """Return the keys given now. Those of an earlier deployment are in its secret."""
    given = load_settings()
    return {name: given[name] for name in preconditions.KEYS if given.get(name)}


def _prospect(answers: Answers, keys: Mapping[str, str]) -> DoctorConfig:
    """Return the providers' settings of the stack that will be deployed."""
    environ = {
        "TELNYX_API_BASE": load_settings().get("TELNYX_API_BASE", ""),
        "TELNYX_CONNECTION_ID": answers.get("TelnyxConnectionId"),
        "TELNYX_FROM_NUMBER": answers.get("TelnyxFromNumber"),
        "OPENAI_MODEL": answers.get("OpenAiModel"),
        "OPENAI_REALTIME_URL": answers.get("OpenAiRealtimeUrl"),
        "OPENAI_AUTH_HEADER": answers.get("OpenAiAuthHeader"),
    }
    return DoctorConfig.from_env({**environ, **keys})


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="make deploy", description=__doc__)
    parser.add_argument("--region")
    parser.add_argument("--stack")
    parser.add_argument(
        "--build-in-cloud",
        action="store_true",
        help="build the image on AWS, without docker on this machine",
    )
    parser.add_argument("--set", action="append", default=[], metavar="PARAMETER=VALUE")
    parser.add_argument("--tag", action="append", default=[], metavar="NAME=VALUE")
    return parser.parse_args()


def _pairs(option: str, given: list[str]) -> dict[str, str]:
    if wrong := [each for each in given if "=" not in each]:
        sys.exit(f"deploy: {option} takes NAME=VALUE, not {wrong[0]}")
    return dict(each.split("=", 1) for each in given)


def _answers_from(options: argparse.Namespace) -> Answers:
    known = remembered.load(remembered.FILE)
    return Answers(
        region=options.region or known.region or boto3.Session().region_name or "",
        stack=options.stack or known.stack,
        build_in_cloud=options.build_in_cloud or known.build_in_cloud,
        parameters={**known.parameters, **_pairs("--set", options.set)},
        tags={**known.tags, **_pairs("--tag", options.tag)},
    )


def _find_stack(answers: Answers) -> DeployedStack | None:
    try:
        return look_up(answers.stack, answers.region or "us-east-1")
    except (BotoCoreError, ClientError):
        return None  # no credentials, or not enough of them: the preconditions say so


def _stored_keys(stack: DeployedStack | None) -> Mapping[str, str]:
    try:
        return keys_of(stack) if stack else {}
    except (BotoCoreError, ClientError):
        return {}  # they are asked for again


def _settle(answers: Answers) -> tuple[DeployedStack | None, list[Missing]]:
    """The stack once no operation runs on it, and what keeps it from being deployed to."""
    while True:
        stack = _find_stack(answers)
        action = first_action(stack.status) if stack else FirstAction.PROCEED
        if stack is None or action in (FirstAction.PROCEED, FirstAction.START_OVER):
            return stack, []
        if action is FirstAction.STOP:
            return stack, [Missing("stack", remedy(stack.status, stack.name, stack.region))]
        print(
            f"stack {stack.name} is {stack.status}: somebody changes it, or an earlier deployment "
            "is not over. Waiting (Ctrl-C changes nothing)",
            flush=True,
        )
        Operations(stack.name, stack.region).follow(datetime.now(UTC))


def _start_over(stack: DeployedStack) -> None:
    print(
        f"\n== Delete stack {stack.name}, whose creation failed (usually 1 to 10 min)", flush=True
    )
    client = boto3.client("cloudformation", region_name=stack.region)
    if left := start_over(client, stack.name, stack.region):
        raise StepFailed(
            f"stack {stack.name} could not be deleted. Still there: {', '.join(left)}. Delete "
            "them in the console, then run `make deploy` again"
        )


def _find_missing(
    answers: Answers, stack: DeployedStack | None, keys: Mapping[str, str]
) -> list[Missing]:
    """Find what is missing. The providers are checked last, and only when the settings they need
    are complete."""
    dns = PublicDns(load_settings().get("DNS_OVER_HTTPS_URL", ""))
    rounds = (
        lambda: (
            *preconditions.of_tools(answers),
            *preconditions.of_answers(answers, keys),
            *preconditions.of_sign_in(answers),
        ),
        lambda: preconditions.of_account(answers, stack, dns),
        lambda: (
            *preconditions.of_providers(_prospect(answers, keys)),
            *preconditions.of_engine(answers),
        ),
    )
    return preconditions.find_missing(rounds, partial(print, flush=True))


def _deploy(answers: Answers, stack: DeployedStack | None, keys: Mapping[str, str]) -> None:
    is_failed = stack is not None and first_action(stack.status) is FirstAction.START_OVER
    deployment = Deployment(answers, keys, answers.get("MediaImageUri") or None)
    try:
        if stack and is_failed:
            _start_over(stack)
            stack = None
        for step in plan.steps(answers, stack, has_new_keys=bool(keys)):
            deployment.carry_out(step)
    except KeyboardInterrupt:
        sys.exit(
            "\ndeploy: interrupted. CloudFormation goes on by itself; run `make deploy` again to "
            "follow it, and to do what comes after it"
        )
    except FAILURES as error:
        remains = plan.describe_remains(_find_stack(answers))
        sys.exit(f"\ndeploy: {error}\n{remains}")


def main() -> None:
    answers = prompts.ask(_answers_from(_options()))
    stack, blocked = _settle(answers)
    stored = _stored_keys(stack)
    keys = prompts.ask_missing_keys(_keys(), stored)
    missing = blocked or _find_missing(answers, stack, {**stored, **keys})
    if missing:
        problems = "\n".join(map(str, missing))
        sys.exit(f"deploy: nothing was changed, for this is missing or wrong:\n{problems}")
    remembered.save(answers, remembered.FILE)
    key = _new_api_key(answers)
    answers = _with_hash(answers, key)
    try:
        _deploy(answers, stack, keys)
    finally:
        # Printed last, or it would be lost above the output of the deployment; remembered only
        # then, so that no key is in use that nobody has seen.
        if key:
            print(f"\nThe key of your API (shown once; keep it): {key}", flush=True)
            remembered.save(answers, remembered.FILE)


if __name__ == "__main__":
    main()
