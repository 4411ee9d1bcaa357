"""DynamoDB on this machine: moto behind a socket, made atomic, with the table of template.yaml.

python local/aws/dynamodb.py --port 9300 --table calls
"""

import argparse
import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import boto3
from cheroot.wsgi import Server
from moto.dynamodb.responses import DynamoHandler
from moto.moto_server.werkzeug_app import DomainDispatcherApplication, create_backend_app

from aws.template import Template, load_template

if TYPE_CHECKING:
    from mypy_boto3_dynamodb import DynamoDBClient

_STOP_SIGNALS = {signal.SIGINT, signal.SIGTERM}
_ONE_AT_A_TIME = threading.RLock()
_moto_call_action = DynamoHandler.call_action


def _atomic_call_action(handler: DynamoHandler) -> Any:
    with _ONE_AT_A_TIME:
        return _moto_call_action(handler)


# moto checks a condition and writes in two steps. Another thread could write in between.
DynamoHandler.call_action = _atomic_call_action  # type: ignore[method-assign]


@contextmanager
def dynamodb(port: int = 0) -> Iterator[str]:
    """Run a server on the loopback interface while the context is open, and yield its address."""
    app = DomainDispatcherApplication(create_backend_app)
    # moto's own server (werkzeug) closes every connection after one response.
    server = Server(("127.0.0.1", port), app, request_queue_size=128)
    server.prepare()
    thread = threading.Thread(target=server.serve, name="dynamodb")
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.bind_addr[1]}"
    finally:
        server.stop()
        thread.join()


def local_client(address: str) -> "DynamoDBClient":
    return boto3.client(
        "dynamodb",
        endpoint_url=address,
        region_name="us-east-1",
        aws_access_key_id="local",
        aws_secret_access_key="local",
    )


def create_table(client: "DynamoDBClient", name: str, template: Template) -> None:
    """Create the table `CallsTable` of template.yaml under another name."""
    properties = template.properties("CallsTable")
    client.create_table(
        TableName=name,
        AttributeDefinitions=properties["AttributeDefinitions"],
        KeySchema=properties["KeySchema"],
        GlobalSecondaryIndexes=properties["GlobalSecondaryIndexes"],
        BillingMode=properties["BillingMode"],
    )
    client.update_time_to_live(
        TableName=name, TimeToLiveSpecification=properties["TimeToLiveSpecification"]
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--port", type=int, default=0)
    parser.add_argument("--table", required=True)
    arguments = parser.parse_args()
    # The signals are blocked before the server's threads start, so that only the wait below gets
    # them.
    signal.pthread_sigmask(signal.SIG_BLOCK, _STOP_SIGNALS)
    with dynamodb(arguments.port) as address:
        create_table(local_client(address), arguments.table, load_template())
        print(address, flush=True)
        signal.sigwait(_STOP_SIGNALS)


if __name__ == "__main__":
    main()
