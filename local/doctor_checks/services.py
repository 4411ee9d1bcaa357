"""All checks of the services that a call needs."""

from collections.abc import Iterator

from doctor_checks import carrier, model, reachability
from doctor_checks.config import DoctorConfig
from doctor_checks.findings import Finding


def check(config: DoctorConfig, now: float) -> Iterator[Finding]:
    yield from model.check(config)
    yield from carrier.check(config, now)
    yield from reachability.check(config, now)
