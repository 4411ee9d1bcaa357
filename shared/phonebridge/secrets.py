"""The providers' keys on AWS: one JSON secret, added to the environment of a process."""

from collections.abc import Callable, Mapping

import boto3
import msgspec

from phonebridge.errors import NotConfigured


def with_secrets(environ: Mapping[str, str], fetch: Callable[[str], str]) -> Mapping[str, str]:
    """The environment, and what the secret at PROVIDER_SECRET_ARN adds to it. What is set on the
    process itself wins: it is the more specific of the two."""
    arn = environ.get("PROVIDER_SECRET_ARN")
    if not arn:
        return environ
    try:
        secrets = msgspec.json.decode(fetch(arn), type=dict[str, str])
    except msgspec.DecodeError as error:
        # Without the decoder's words: they may quote the secret.
        raise NotConfigured("PROVIDER_SECRET_ARN must hold a JSON object of strings") from error
    return secrets | {name: value for name, value in environ.items() if value}


def fetch_secret(arn: str) -> str:
    secret: str = boto3.client("secretsmanager").get_secret_value(SecretId=arn)["SecretString"]
    return secret
