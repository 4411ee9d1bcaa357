"""An AWS account in this process: boto3 as the programs use it, with moto behind a front."""

from collections.abc import Iterator
from contextlib import contextmanager
from unittest.mock import patch

import boto3

from tests.support.aws_front import AwsFront, aws_front

ENVIRON = {
    "AWS_ACCESS_KEY_ID": "testing",
    "AWS_SECRET_ACCESS_KEY": "testing",
    "AWS_DEFAULT_REGION": "us-east-1",
    "AWS_CONFIG_FILE": "/nonexistent",
    "AWS_SHARED_CREDENTIALS_FILE": "/nonexistent",
}


@contextmanager
def aws_account(moto: str) -> Iterator[AwsFront]:
    with aws_front(moto) as front:
        environ = ENVIRON | {"AWS_ENDPOINT_URL": front.address}
        with patch.dict("os.environ", environ), patch.object(boto3, "DEFAULT_SESSION", None):
            yield front
