"""What a deployment cannot do without. All of it is looked at before anything is changed, and all
that is missing is told at once."""

import shutil
import subprocess
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

import boto3
from botocore.exceptions import BotoCoreError, ClientError

from aws.template import load_template
from deployment.answers import FILE, QUESTIONS, Answers
from doctor_checks import carrier, model
from doctor_checks.config import DoctorConfig
from doctor_checks.findings import Problem

UNMENDABLE = {
    Problem.OPENAI_KEY_REFUSED,
    Problem.MODEL_UNAVAILABLE,
    Problem.TELNYX_KEY_REFUSED,
    Problem.TELNYX_UNREACHABLE,
    Problem.APPLICATION_UNKNOWN,
}
KEYS = {
    "OPENAI_API_KEY": "make one at platform.openai.com/api-keys",
    "TELNYX_API_KEY": "make one at portal.telnyx.com, API Keys",
}


@dataclass(frozen=True, slots=True)
class Missing:
    what: str
    how: str

    def __str__(self) -> str:
        return f"  {self.what}: {self.how}"


def of_tools(answers: Answers) -> Iterator[Missing]:
    if shutil.which("sam") is None:
        yield Missing("sam", "run `make deploy`, which installs it, or pip install aws-sam-cli")
    if not answers.build_in_cloud and not _docker_works():
        yield Missing(
            "docker",
            "install docker with buildx and start it, or build in AWS: "
            "make deploy ARGS=--build-in-cloud",
        )


def _docker_works() -> bool:
    if shutil.which("docker") is None:
        return False
    asked = (["docker", "buildx", "version"], ["docker", "info"])
    return all(
        subprocess.run(command, check=False, capture_output=True).returncode == 0
        for command in asked
    )


def of_answers(answers: Answers, keys: Mapping[str, str]) -> Iterator[Missing]:
    if not answers.region:
        yield Missing("region", "set AWS_REGION, or make deploy ARGS='--region us-east-1'")
    for unknown in sorted(answers.parameters.keys() - load_template().parameters.keys()):
        where = f"is it misspelt, or left over in {FILE}?"
        yield Missing(unknown, f"template.yaml has no such parameter: {where}")
    for question in QUESTIONS:
        if not answers.get(question.parameter):
            remedy = f"{question.help}; then make deploy ARGS='--set {question.parameter}=…'"
            yield Missing(question.parameter, remedy)
    if not (answers.get("MediaCertificateArn") or answers.get("HostedZoneId")):
        domain = answers.get("MediaDomainName") or "the media host name"
        yield Missing(
            "certificate",
            f"request one for {domain} in AWS Certificate Manager and give its ARN "
            "(--set MediaCertificateArn=…), or give the Route 53 zone of the domain "
            "(--set HostedZoneId=…) and the stack makes one",
        )
    for name, how in KEYS.items():
        if not keys.get(name):
            yield Missing(name, f"{how}, and set it in the environment or in .env")


def of_providers(subject: DoctorConfig) -> Iterator[Missing]:
    """What no later step could mend. The stack itself, and where Telnyx sends its webhooks, is what
    the deployment is for."""
    for finding in (*model.check(subject), *carrier.check(subject, time.time())):
        if finding.problem in UNMENDABLE:
            yield Missing(finding.what, str(finding).partition(": ")[2])


def of_account(answers: Answers) -> Iterator[Missing]:
    session = boto3.Session(region_name=answers.region or "us-east-1")
    try:
        session.client("sts").get_caller_identity()
    except (BotoCoreError, ClientError) as error:
        yield Missing(
            "AWS credentials",
            f"sign in (`aws configure sso`, `aws configure`) or set AWS_PROFILE ({error})",
        )
        return
    if answers.region:
        yield from _certificate(session, answers)


def _certificate(session: boto3.Session, answers: Answers) -> Iterator[Missing]:
    arn, domain = answers.get("MediaCertificateArn"), answers.get("MediaDomainName")
    if not arn:
        return
    if f":{answers.region}:" not in arn:
        yield Missing("certificate", f"{arn} is not in {answers.region}: request one there")
        return
    try:
        found = session.client("acm").describe_certificate(CertificateArn=arn)["Certificate"]
    except (BotoCoreError, ClientError) as error:
        yield Missing("certificate", f"{arn} cannot be read: {error}")
        return
    names = {found["DomainName"], *found.get("SubjectAlternativeNames", [])}
    if found["Status"] != "ISSUED":
        remedy = "create the validation record that AWS Certificate Manager shows, and wait for it"
        yield Missing("certificate", f"{arn} is {found['Status']}: {remedy}")
    elif not any(_covers(name, domain) for name in names):
        yield Missing("certificate", f"{arn} is not for {domain}: request one that is")


def _covers(name: str, domain: str) -> bool:
    return name == domain or name == f"*.{domain.partition('.')[2]}"
