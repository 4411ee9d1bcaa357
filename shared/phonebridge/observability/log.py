"""JSON logs of both planes: constant messages, values as fields, one `call_id` on every line,
phone numbers masked; never audio, transcripts, instructions or keys."""

import logging
import re
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from aws_lambda_powertools import Logger
from aws_lambda_powertools.logging.formatter import LambdaPowertoolsFormatter

_PHONE_NUMBER = re.compile(r"\+\d{6,15}\b")


def mask_numbers(text: str) -> str:
    """`+15550100` becomes `+****0100`: enough to find a call, too little to call it."""
    return _PHONE_NUMBER.sub(lambda match: "+****" + match.group()[-4:], text)


class _MaskingFormatter(LambdaPowertoolsFormatter):
    def serialize(self, log: dict[str, Any]) -> str:  # type: ignore[override]
        return mask_numbers(super().serialize(log))


def logger(service: str) -> Logger:
    # botocore tells at each cold start where it found credentials and endpoints.
    logging.getLogger("botocore").setLevel(logging.WARNING)
    return Logger(service=service, location=None, logger_formatter=_MaskingFormatter())


@contextmanager
def call_on_every_line(log: Logger, call_id: str) -> Iterator[None]:
    """Put the call's id on every line logged inside, in this task or thread alone."""
    log.thread_safe_append_keys(call_id=call_id)
    try:
        yield
    finally:
        log.thread_safe_remove_keys(["call_id"])
