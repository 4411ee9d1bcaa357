"""Asks the real services whether a call would work, one line each: `make doctor`.

Local settings come from the environment and `.env`; with `--stack NAME` those of a deployed stack.
Exit code 0 only if all is well.
"""

import argparse
import sys
import time
from collections.abc import Iterator

from botocore.exceptions import BotoCoreError, ClientError

from deployment.stack import StackMissing, stack_environment
from dev import given_settings
from diagnosis import carrier, model, reachability
from diagnosis.ailments import Finding
from diagnosis.subject import Subject


def examination(subject: Subject, now: float) -> Iterator[Finding]:
    yield from model.examine(subject)
    yield from carrier.examine(subject, now)
    yield from reachability.examine(subject, now)


def reported(subject: Subject) -> bool:
    """Whether all is well; each finding is printed as it is made."""
    all_well = True
    for finding in examination(subject, time.time()):
        print(finding, flush=True)
        all_well = all_well and finding.ailment is None
    return all_well


def deployed(stack: str, region: str | None) -> Subject:
    """A stack has no address of Telnyx among its settings: this machine's counts."""
    base = {"TELNYX_API_BASE": given_settings().get("TELNYX_API_BASE", "")}
    return Subject.from_env({**base, **stack_environment(stack, region)})


def _subject(stack: str | None, region: str | None) -> Subject:
    if stack is None:
        return Subject.from_env(given_settings())
    try:
        return deployed(stack, region)
    except (StackMissing, BotoCoreError, ClientError) as error:
        sys.exit(f"doctor: {error}")


def main() -> None:
    parser = argparse.ArgumentParser(prog="make doctor", description=__doc__)
    parser.add_argument("--stack", help="name of a deployed stack")
    parser.add_argument("--region", help="its region, unless AWS_REGION or a profile says it")
    options = parser.parse_args()
    sys.exit(0 if reported(_subject(options.stack, options.region)) else 1)


if __name__ == "__main__":
    main()
