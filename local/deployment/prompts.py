"""Prompts for the settings and keys that are missing, if there is a terminal."""

import getpass
import sys
from collections.abc import Mapping
from dataclasses import replace

from deployment.answers import QUESTIONS, Answers
from deployment.preconditions import KEYS

ZONE_PROMPT = "Route 53 zone of this domain (empty if its DNS is elsewhere): "
CERTIFICATE_PROMPT = "ARN of the certificate (AWS Certificate Manager): "
OPTIONAL = {question.parameter for question in QUESTIONS if question.is_optional}


def ask(known: Answers) -> Answers:
    if not sys.stdin.isatty():
        return known
    parameters = _ask_questions(known.parameters)
    parameters |= _ask_certificate(parameters)
    kept = {name: value for name, value in parameters.items() if value or name in OPTIONAL}
    return replace(known, parameters=kept)


def _ask_questions(known: Mapping[str, str]) -> dict[str, str]:
    parameters = dict(known)
    for question in QUESTIONS:
        answer = parameters.get(question.parameter)
        if answer is None or not (answer or question.is_optional):
            parameters[question.parameter] = input(f"{question.text}\n({question.help}): ").strip()
    return parameters


def _ask_certificate(known: Mapping[str, str]) -> dict[str, str]:
    """Ask for the zone in which the stack can create a certificate, or else for a certificate."""
    if known.get("MediaCertificateArn") or known.get("HostedZoneId"):
        return {}
    if zone := input(ZONE_PROMPT).strip():
        return {"HostedZoneId": zone}
    return {"HostedZoneId": "", "MediaCertificateArn": input(CERTIFICATE_PROMPT).strip()}


def ask_missing_keys(keys: Mapping[str, str], stored: Mapping[str, str]) -> dict[str, str]:
    typed = dict(keys)
    for name, how in KEYS.items():
        if not (typed.get(name) or stored.get(name)) and sys.stdin.isatty():
            typed[name] = getpass.getpass(f"{name} ({how}): ").strip()
    return {name: value for name, value in typed.items() if value}
