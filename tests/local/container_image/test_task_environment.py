"""What a container gets, as ECS would give it."""

import httpx

from container_image.task_environment import task_environment


def test_a_task_has_the_variables_of_the_template_and_no_key_among_them(
    dynamodb_address: str,
) -> None:
    with task_environment(dynamodb_address) as environment:
        names = set(environment.names)
        assert {"CALLS_TABLE", "PROVIDER_SECRET_ARN", "TOOL_HOSTS_ALLOWED"} <= names
        assert not names & environment.secret.keys()


def test_credentials_come_from_an_address_with_a_session_token(dynamodb_address: str) -> None:
    with task_environment(dynamodb_address) as environment:
        url = environment.variables["AWS_CONTAINER_CREDENTIALS_FULL_URI"]
        credentials = httpx.get(url, trust_env=False).json()
    assert {"AccessKeyId", "SecretAccessKey", "Token", "Expiration"} == credentials.keys()
