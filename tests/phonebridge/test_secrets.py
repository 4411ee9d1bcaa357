"""Where a Lambda gets the providers' keys from."""

import boto3
import pytest
from moto import mock_aws

from phonebridge.errors import NotConfigured
from phonebridge.secrets import fetch_secret, with_secrets


def never(arn: str) -> str:
    raise AssertionError("nobody should ask for a secret")


def test_without_a_secret_the_environment_is_all_there_is() -> None:
    environ = {"OPENAI_API_KEY": "sk-1"}

    assert with_secrets(environ, never) == environ
    assert with_secrets(environ | {"PROVIDER_SECRET_ARN": ""}, never)["OPENAI_API_KEY"] == "sk-1"


def test_what_is_set_on_the_function_wins() -> None:
    environ = {"PROVIDER_SECRET_ARN": "arn:1", "OPENAI_API_KEY": "sk-1", "TELNYX_API_KEY": ""}
    secrets = {"arn:1": '{"OPENAI_API_KEY": "sk-2", "TELNYX_API_KEY": "KEY-2"}'}

    found = with_secrets(environ, secrets.__getitem__)

    assert (found["OPENAI_API_KEY"], found["TELNYX_API_KEY"]) == ("sk-1", "KEY-2")


@pytest.mark.parametrize("secret", ["KEY-secret", '["KEY-secret"]', '{"A": {"B": "KEY-secret"}}'])
def test_a_secret_of_another_shape_is_refused_without_telling_it(secret: str) -> None:
    with pytest.raises(NotConfigured) as refusal:
        with_secrets({"PROVIDER_SECRET_ARN": "arn:1"}, lambda arn: secret)

    assert "KEY-secret" not in str(refusal.value)


@mock_aws
def test_is_read_from_secrets_manager(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_DEFAULT_REGION", "us-east-1")
    secrets = boto3.client("secretsmanager")
    arn = secrets.create_secret(Name="providers", SecretString="{}")["ARN"]

    assert fetch_secret(arn) == "{}"
