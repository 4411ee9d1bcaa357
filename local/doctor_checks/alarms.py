"""Checks that the alarms of a deployed stack are sent to somebody."""

from collections.abc import Iterator, Mapping
from typing import Any

import boto3
from botocore.exceptions import BotoCoreError, ClientError

from doctor_checks.findings import Finding, Problem, healthy, problem_found

PENDING = "PendingConfirmation"


def check(outputs: Mapping[str, str], region: str) -> Iterator[Finding]:
    """`outputs` are those of the stack."""
    if topic := outputs.get("AlarmTopicArn"):
        yield _check(boto3.client("sns", region_name=region), topic)


def _check(sns: Any, topic: str) -> Finding:
    try:
        pages = sns.get_paginator("list_subscriptions_by_topic").paginate(TopicArn=topic)
        found = pages.build_full_result()["Subscriptions"]
    except (BotoCoreError, ClientError) as error:
        return problem_found(Problem.ALARMS_UNKNOWN, error)
    if not found:
        return problem_found(Problem.ALARMS_UNHEARD)
    pending = [each["Endpoint"] for each in found if each["SubscriptionArn"] == PENDING]
    if pending:
        return problem_found(Problem.ALARMS_UNCONFIRMED, ", ".join(pending))
    return healthy(f"alarms reach {', '.join(each['Endpoint'] for each in found)}")
