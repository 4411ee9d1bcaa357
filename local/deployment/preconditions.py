"""Everything that a deployment needs, checked against the real services before the first change.

The checks run in three rounds, cheap ones first. A round reports all that it finds, and the next
one starts only if nothing is missing.
"""

import shutil
import subprocess
import time
from collections.abc import Callable, Iterable, Iterator, Mapping

import boto3

from aws.template import load_template
from deployment import account, image
from deployment.answers import FILE, QUESTIONS, Answers
from deployment.names import check_names
from deployment.network import check_network
from deployment.problems import Doubt, Missing, Problem
from deployment.public_dns import PublicDns
from deployment.stack import DeployedStack
from deployment.values import check_values
from doctor_checks import carrier, model
from doctor_checks.config import DoctorConfig
from doctor_checks.findings import Problem as Ailment

UNMENDABLE = {
    Ailment.OPENAI_KEY_REFUSED,
    Ailment.MODEL_UNAVAILABLE,
    Ailment.TELNYX_KEY_REFUSED,
    Ailment.TELNYX_UNREACHABLE,
    Ailment.APPLICATION_UNKNOWN,
}
KEYS = {
    "OPENAI_API_KEY": "make one at platform.openai.com/api-keys",
    "TELNYX_API_KEY": "make one at portal.telnyx.com, API Keys",
}


def of_tools(answers: Answers) -> Iterator[Missing]:
    if shutil.which("sam") is None:
        yield Missing("sam", "run `make deploy`, which installs it, or pip install aws-sam-cli")
    if answers.needs_docker and not _docker_works():
        yield Missing(
            "docker",
            "install docker with buildx and start it, build in AWS (make deploy "
            "ARGS=--build-in-cloud), or give a published image (--set MediaImageUri=…)",
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
    yield from _check_parameters(answers.parameters)
    for question in QUESTIONS:
        if not (question.is_optional or answers.get(question.parameter)):
            remedy = f"{question.help}; then make deploy ARGS='--set {question.parameter}=…'"
            yield Missing(question.parameter, remedy)
    if not (answers.get("MediaCertificateArn") or answers.get("HostedZoneId")):
        yield _missing_certificate(answers.get("MediaDomainName") or "the media host name")
    for name, how in KEYS.items():
        if not keys.get(name):
            yield Missing(name, f"{how}, and set it in the environment or in .env")


def _check_parameters(parameters: Mapping[str, str]) -> Iterator[Missing]:
    known = load_template().parameters
    for unknown in sorted(parameters.keys() - known.keys()):
        where = f"is it misspelt, or left over in {FILE}?"
        yield Missing(unknown, f"template.yaml has no such parameter: {where}")
    yield from check_values(parameters, known)


def _missing_certificate(domain: str) -> Missing:
    return Missing(
        "certificate",
        f"request one for {domain} in AWS Certificate Manager and give its ARN "
        "(--set MediaCertificateArn=…), or give the Route 53 zone of the domain "
        "(--set HostedZoneId=…) and the stack makes one",
    )


def of_providers(subject: DoctorConfig) -> Iterator[Missing]:
    """Check the providers, as far as no later step of the deployment could solve a problem. The
    stack itself and the URL of the webhooks are the subject of the deployment."""
    for finding in (*model.check(subject), *carrier.check(subject, time.time())):
        if finding.problem in UNMENDABLE:
            yield Missing(finding.what, str(finding).partition(": ")[2])


def of_account(
    answers: Answers, deployed: DeployedStack | None, dns: PublicDns
) -> Iterator[Problem]:
    session = boto3.Session(region_name=answers.region)
    yield from account.check_region(session)
    yield from check_names(session, answers, deployed, dns)
    yield from check_network(session, answers, deployed)
    yield from account.check_quotas(session, answers, deployed)
    yield from account.check_service_roles(session)


def of_sign_in(answers: Answers) -> Iterator[Missing]:
    problem = account.check_sign_in(boto3.Session(region_name=answers.region or "us-east-1"))
    if problem:
        yield problem


def of_engine(answers: Answers) -> Iterator[Missing]:
    """Check the login to the registry, because a failure would stop the deployment halfway."""
    if not answers.needs_docker:
        return
    try:
        image.log_in(answers.region)
    except image.BuildFailed as error:
        yield Missing("docker login", str(error))


def find_missing(
    rounds: Iterable[Callable[[], Iterable[Problem]]], show: Callable[[str], None]
) -> list[Missing]:
    """Return the problems of the first round that finds any. Doubts are shown."""
    for check in rounds:
        found = list(check())
        for doubt in (each for each in found if isinstance(each, Doubt)):
            show(str(doubt))
        if missing := [each for each in found if isinstance(each, Missing)]:
            return missing
    return []
