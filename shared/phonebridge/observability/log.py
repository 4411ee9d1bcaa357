"""JSON logs of both planes. Messages are constant and values are fields. Every line of a call has
its `call_id`. Phone numbers are masked, and audio, transcripts, instructions and keys are never
logged."""

import logging
import re
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from aws_lambda_powertools import Logger
from aws_lambda_powertools.logging.formatter import LambdaPowertoolsFormatter

_PHONE_NUMBER = re.compile(r"\+\d{6,15}\b")


def mask_numbers(text: str) -> str:
    """Return `+****0100` for `+15550100`: enough to find a call, too little to dial it."""
    return _PHONE_NUMBER.sub(lambda match: "+****" + match.group()[-4:], text)


class _MaskingFormatter(LambdaPowertoolsFormatter):
    def serialize(self, log: dict[str, Any]) -> str:  # type: ignore[override]
        return mask_numbers(super().serialize(log))


def logger(service: str) -> Logger:
    # botocore logs at each cold start where it found credentials and endpoints.
    logging.getLogger("botocore").setLevel(logging.WARNING)
    return Logger(service=service, location=None, logger_formatter=_MaskingFormatter())


@contextmanager
def call_on_every_line(log: Logger, call_id: str) -> Iterator[None]:
    """Put the call's id on every line that is logged inside, in this task or thread only."""
    log.thread_safe_append_keys(call_id=call_id)
    try:
        yield
    finally:
        log.thread_safe_remove_keys(["call_id"])
