"""Asks the real services whether a call would work, and prints one line for each check: `make
doctor`.

Settings come from the environment and `.env`, or with `--stack NAME` from a deployed stack. The
exit code is 0 only if all checks pass.
"""

import argparse
import sys
import time
from collections.abc import Iterator

from botocore.exceptions import BotoCoreError, ClientError

from deployment.stack import DeployedStack, StackMissing, require, stack_environment
from dev import load_settings
from doctor_checks import alarms, services
from doctor_checks.config import DoctorConfig
from doctor_checks.findings import Finding


def run_checks(
    config: DoctorConfig, now: float, stack: DeployedStack | None = None
) -> Iterator[Finding]:
    yield from services.check(config, now)
    if stack:
        yield from alarms.check(stack.outputs, stack.region)


def report(config: DoctorConfig, stack: DeployedStack | None = None) -> bool:
    """Run all checks, print each finding at once, and return whether calls would work."""
    all_well = True
    for finding in run_checks(config, time.time(), stack):
        print(finding, flush=True)
        all_well = all_well and not finding.is_fatal
    return all_well


def config_of_stack(stack: str, region: str | None) -> DoctorConfig:
    """Return the settings of a deployed stack. TELNYX_API_BASE is not among them, so that of this
    machine is used."""
    base = {"TELNYX_API_BASE": load_settings().get("TELNYX_API_BASE", "")}
    return DoctorConfig.from_env({**base, **stack_environment(stack, region)})


def _subject(name: str | None, region: str | None) -> tuple[DoctorConfig, DeployedStack | None]:
    if name is None:
        return DoctorConfig.from_env(load_settings()), None
    try:
        return config_of_stack(name, region), require(name, region)
    except (StackMissing, BotoCoreError, ClientError) as error:
        sys.exit(f"doctor: {error}")


def main() -> None:
    parser = argparse.ArgumentParser(prog="make doctor", description=__doc__)
    parser.add_argument("--stack", help="name of a deployed stack")
    parser.add_argument("--region", help="its region, unless AWS_REGION or a profile has it")
    options = parser.parse_args()
    sys.exit(0 if report(*_subject(options.stack, options.region)) else 1)


if __name__ == "__main__":
    main()
