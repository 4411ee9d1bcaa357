"""Deploys the stack, prompts for missing settings, and checks that everything answers: `make
deploy`.

Nothing is changed before everything that is needed is there. Answers are saved in
.phonebridge.toml. Keys go from the environment, `.env` or the keyboard into Secrets Manager, and
never into a parameter or a file.
"""

import argparse
import getpass
import hashlib
import secrets
import subprocess
import sys
from collections.abc import Mapping
from dataclasses import dataclass, replace

import boto3
import httpx
from botocore.exceptions import BotoCoreError, ClientError

import doctor
from deployment import answers as remembered
from deployment import image, plan, preconditions
from deployment.answers import QUESTIONS, Answers
from deployment.stack import DeployedStack, fill_secret, keys_of, look_up, require
from dev import load_settings
from doctor_checks.carrier import TelnyxAccount
from doctor_checks.config import WEBHOOK_PATH, DoctorConfig


@dataclass(slots=True)
class Deployment:
    """Executes the steps of a plan one after the other."""

    answers: Answers
    keys: Mapping[str, str]
    image: str | None = None

    def carry_out(self, step: plan.Step) -> None:
        print(f"\n== {type(step).__doc__}", flush=True)
        match step:
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
            case plan.Examine():
                self._examine()

    def _stack(self) -> DeployedStack:
        return require(self.answers.stack, self.answers.region)

    def _subject(self) -> DoctorConfig:
        return doctor.config_of_stack(self.answers.stack, self.answers.region)

    def _deploy(self, image_uri: str | None) -> None:
        deployed = look_up(self.answers.stack, self.answers.region)
        run(plan.sam_deploy(self.answers, plan.parameters(self.answers, deployed, image_uri)))

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
        if not doctor.report(self._subject()):
            sys.exit("\nDeployed, but not every check passed: see above, then run `make doctor`.")
        print(f"\nDeployed: {stack.public_url}")


def point_telnyx(subject: DoctorConfig) -> None:
    """Set the webhook URL of the application. The update must repeat its name (Telnyx, "Update a
    call control application")."""
    path = f"/call_control_applications/{subject.telnyx_connection_id}"
    with TelnyxAccount(subject) as account:
        application = account.data(path)
        if application is None:
            sys.exit(f"deploy: Telnyx has no application {subject.telnyx_connection_id}")
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
        sys.exit(f"deploy: `{' '.join(command[:3])}` failed ({error.returncode}); see above")


def _ask(known: Answers) -> Answers:
    """Prompt for missing settings if there is a terminal."""
    if not sys.stdin.isatty():
        return known
    parameters = dict(known.parameters)
    for question in QUESTIONS:
        if not parameters.get(question.parameter):
            parameters[question.parameter] = input(f"{question.text}\n({question.help}): ").strip()
    if not (parameters.get("MediaCertificateArn") or parameters.get("HostedZoneId")):
        parameters["HostedZoneId"] = input(
            "Route 53 zone of this domain (empty if its DNS is elsewhere): "
        ).strip()
    if not (parameters.get("MediaCertificateArn") or parameters.get("HostedZoneId")):
        parameters["MediaCertificateArn"] = input(
            "ARN of the certificate (AWS Certificate Manager): "
        ).strip()
    return replace(known, parameters={name: value for name, value in parameters.items() if value})


def _with_api_key(known: Answers) -> Answers:
    """Create an API key at the first deployment. Only its hash is stored."""
    if known.get("ApiKeyHashes") or known.get("JwtIssuer"):
        return known
    key = secrets.token_hex(32)
    print(f"The key of your API (shown once; keep it): {key}")
    hashes = {"ApiKeyHashes": hashlib.sha256(key.encode()).hexdigest()}
    return replace(known, parameters={**known.parameters, **hashes})


def _keys() -> dict[str, str]:
    """Return the keys given now. Those of an earlier deployment are in its secret."""
    given = load_settings()
    return {name: given[name] for name in preconditions.KEYS if given.get(name)}


def _ask_missing_keys(keys: Mapping[str, str], stored: Mapping[str, str]) -> dict[str, str]:
    typed = dict(keys)
    for name, how in preconditions.KEYS.items():
        if not (typed.get(name) or stored.get(name)) and sys.stdin.isatty():
            typed[name] = getpass.getpass(f"{name} ({how}): ").strip()
    return {name: value for name, value in typed.items() if value}


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
    return parser.parse_args()


def _answers_from(options: argparse.Namespace) -> Answers:
    known = remembered.load(remembered.FILE)
    given = dict(each.split("=", 1) for each in options.set if "=" in each)
    if len(given) != len(options.set):
        sys.exit("deploy: --set takes PARAMETER=VALUE")
    return Answers(
        region=options.region or known.region or boto3.Session().region_name or "",
        stack=options.stack or known.stack,
        build_in_cloud=options.build_in_cloud or known.build_in_cloud,
        parameters={**known.parameters, **given},
    )


def _find_deployment(answers: Answers) -> tuple[DeployedStack | None, Mapping[str, str]]:
    """Return the existing stack and the keys in its secret."""
    try:
        stack = look_up(answers.stack, answers.region or "us-east-1")
        return stack, keys_of(stack) if stack else {}
    except (BotoCoreError, ClientError):
        return None, {}  # credentials are missing or insufficient: the preconditions report it


def main() -> None:
    answers = _ask(_answers_from(_options()))
    stack, stored = _find_deployment(answers)
    keys = _ask_missing_keys(_keys(), stored)
    missing = [
        *preconditions.of_tools(answers),
        *preconditions.of_answers(answers, {**stored, **keys}),
        *preconditions.of_account(answers),
    ]
    # The providers are asked last, and only if everything else is there.
    missing = missing or [*preconditions.of_providers(_prospect(answers, {**stored, **keys}))]
    if missing:
        problems = "\n".join(map(str, missing))
        sys.exit(f"deploy: nothing was changed. This is missing or wrong:\n{problems}")
    answers = _with_api_key(answers)
    remembered.save(answers, remembered.FILE)
    deployment = Deployment(answers, keys)
    try:
        for step in plan.steps(answers, stack, has_new_keys=bool(keys)):
            deployment.carry_out(step)
    except (BotoCoreError, ClientError, httpx.HTTPError, image.BuildFailed) as error:
        sys.exit(f"deploy: {error}")


if __name__ == "__main__":
    main()
