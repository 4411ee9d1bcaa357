"""`make invoke`: which function gets which sample event, and what counts as an answer."""

import json

import pytest
import yaml
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from aws.template import TEMPLATE, load_template
from invoke_events import EVENTS, failure_of, local_template, samples
from phonebridge.telnyx.webhook_signature import verify
from tests.support.translated import functions

NOW = 1_795_426_200
KEY = Ed25519PrivateKey.generate()
FOUND = {each.name: each for each in samples(load_template(), KEY, NOW)}


def test_every_file_is_invoked_and_every_function_is_tried() -> None:
    files = [path for path in EVENTS.rglob("*.json") if path.name != "metadata.json"]
    names = {str(path.relative_to(EVENTS).with_suffix("")) for path in files}
    assert set(FOUND) == names
    assert {each.function for each in FOUND.values()} == set(functions())


def test_an_event_of_the_carrier_is_signed_as_the_carrier_does() -> None:
    import base64

    event = FOUND["telnyx/call.answered"].event
    public = base64.b64encode(KEY.public_key().public_bytes_raw()).decode()
    verify(public, event["headers"], event["body"].encode(), NOW * 1000)
    assert json.loads(event["body"])["data"]["event_type"] == "call.answered"


def test_the_local_template_names_every_variable_that_a_function_is_to_get() -> None:
    variables = {"CALLS_TABLE": "calls", "AWS_ENDPOINT_URL_DYNAMODB": "http://127.0.0.1:1"}
    text = local_template(TEMPLATE.read_text(), variables, "x86_64")
    globals_ = text.partition("Globals:")[2].partition("\nResources:")[0]
    assert globals_.count("CALLS_TABLE:") == 1
    assert '        AWS_ENDPOINT_URL_DYNAMODB: "http://127.0.0.1:1"\n' in globals_
    assert "[arm64]" not in text
    assert yaml.safe_load(json.dumps(variables)) == variables


@pytest.mark.parametrize(
    ("answer", "failure"),
    [
        ('{"statusCode": 201, "body": "{}"}', ""),
        ('START RequestId\n{"statusCode": 404, "body": "no"}\n', ""),
        ('{"isAuthorized": true}', ""),
        ("null", ""),
        ('{"statusCode": 500, "body": "broken"}', "500 broken"),
        ('{"errorMessage": "no module", "errorType": "ImportError"}', "no module"),
        ("", "no answer"),
    ],
)
def test_an_answer_is_judged(answer: str, failure: str) -> None:
    assert failure_of(answer) == failure
