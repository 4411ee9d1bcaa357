"""Provider keys on AWS: one JSON secret that is added to the environment of a process."""

from collections.abc import Callable, Mapping

import boto3
import msgspec

from phonebridge.errors import NotConfigured


def with_secrets(environ: Mapping[str, str], fetch: Callable[[str], str]) -> Mapping[str, str]:
    """Add the secret at PROVIDER_SECRET_ARN to the environment. A variable that is set on the
    process wins, because it is more specific."""
    arn = environ.get("PROVIDER_SECRET_ARN")
    if not arn:
        return environ
    try:
        secrets = msgspec.json.decode(fetch(arn), type=dict[str, str])
    except msgspec.DecodeError as error:
        # The decoder's message may quote the secret, so it is left out.
        raise NotConfigured("PROVIDER_SECRET_ARN must hold a JSON object of strings") from error
    return secrets | {name: value for name, value in environ.items() if value}


def fetch_secret(arn: str) -> str:
    secret: str = boto3.client("secretsmanager").get_secret_value(SecretId=arn)["SecretString"]
    return secret
