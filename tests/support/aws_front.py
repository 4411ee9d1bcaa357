"""AWS as a deployment meets it: moto, and in front of it a server that answers what moto cannot, or
what a test wants to go wrong.

Answers are given by action, such as `cloudformation:DescribeStacks`, or by method and path. An
action without an answer goes to moto. The server also answers questions to the public DNS.
"""

import http.client
import json
import re
from collections import defaultdict, deque
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

import boto3

from tests.support.served import QuietHandler, served

QUOTAS = "servicequotas:ListServiceQuotas"
PROTECTION = "cloudformation:UpdateTerminationProtection"
LAMBDA_SETTINGS = "GET /2016-08-19/account-settings"
DNS_PATH = "/resolve"
ZONE_PREFIX = "ZMOTO"
"""Ids of zones begin with a Z, except in moto."""
DNS_NUMBERS = {"NS": 2, "CAA": 257}


@dataclass
class AwsFront:
    upstream: str
    address: str = ""
    names: dict[tuple[str, str], list[str]] = field(default_factory=dict)
    """Records of the public DNS, by name and type."""
    dns_is_down: bool = False
    change_sets: Path | None = None
    """Where `sam` leaves them (`aws_programs.py`)."""
    asked: list[str] = field(default_factory=list)
    """Every action, in order."""
    _always: dict[str, tuple[int, bytes]] = field(default_factory=dict)
    _next: dict[str, deque[tuple[int, bytes]]] = field(default_factory=lambda: defaultdict(deque))

    def answer_once(self, action: str, body: bytes, status: int = 200) -> None:
        self._next[action].append((status, body))

    def answer_always(self, action: str, body: bytes, status: int = 200) -> None:
        self._always[action] = (status, body)

    def forget(self, action: str) -> None:
        del self._always[action]

    def refuse(self, action: str, code: str, message: str) -> None:
        """An error of a service with a query protocol, which is XML, or of one with JSON."""
        if action.partition(":")[0] in ("cloudformation", "iam", "sts", "ec2"):
            error = f"<Error><Code>{code}</Code><Message>{message}</Message></Error>"
            body = f"<ErrorResponse>{error}</ErrorResponse>".encode()
        else:
            body = json.dumps({"__type": code, "message": message}).encode()
        self.answer_always(action, body, 400)

    def set_quotas(self, **values: float) -> None:
        """Set the quotas that a deployment reads, by service."""
        names = {
            "fargate": "Fargate On-Demand vCPU resource count",
            "codebuild": "Concurrently running builds for ARM/Small environment",
            "vpc": "VPCs per Region",
        }
        quotas = [{"QuotaName": names[name], "Value": value} for name, value in values.items()]
        self.answer_always(QUOTAS, json.dumps({"Quotas": quotas}).encode())

    def set_lambda_concurrency(self, value: int) -> None:
        limit = {"AccountLimit": {"ConcurrentExecutions": value}}
        self.answer_always(LAMBDA_SETTINGS, json.dumps(limit).encode())

    def show_stack(self, name: str, *statuses: str) -> None:
        """CloudFormation describes a stack like this, once for each status."""
        for status in statuses:
            self.answer_once("cloudformation:DescribeStacks", stack_xml(name, status))

    def show_regions(self, **statuses: str) -> None:
        """Set the status of regions by name, with underscores: `opted-in`, `not-opted-in` or
        `opt-in-not-required`."""
        items = "".join(
            f"<item><regionName>{name.replace('_', '-')}</regionName>"
            f"<optInStatus>{status}</optInStatus></item>"
            for name, status in statuses.items()
        )
        body = f"<Response><regionInfo>{items}</regionInfo></Response>".encode()
        self.answer_always("ec2:DescribeRegions", body)

    def find(self, action: str, form: Mapping[str, list[str]]) -> tuple[int, bytes] | None:
        if waiting := self._next[action]:
            return waiting.popleft()
        if action not in self._always and self.change_sets:
            if action == "cloudformation:ListChangeSets":
                return 200, self._list_change_sets(form["StackName"][0])
            if action == "cloudformation:ExecuteChangeSet":
                return 200, self._execute(self.change_sets / form["ChangeSetName"][0])
        return self._always.get(action)

    def _list_change_sets(self, stack: str) -> bytes:
        assert self.change_sets
        members = "".join(
            f"<member><StackName>{stack}</StackName><ChangeSetId>{path.name}</ChangeSetId>"
            "<ExecutionStatus>AVAILABLE</ExecutionStatus></member>"
            for path in self.change_sets.glob("*.json")
        )
        return _result("ListChangeSets", f"<Summaries>{members}</Summaries>")

    def _execute(self, path: Path) -> bytes:
        change = json.loads(path.read_text())
        client = boto3.client(
            "cloudformation",
            endpoint_url=self.upstream,
            region_name="us-east-1",
            aws_access_key_id="testing",
            aws_secret_access_key="testing",
        )
        getattr(client, change["action"])(**change["given"])
        path.rename(path.with_name("executed")).write_text(json.dumps(change["given"]))
        return _result("ExecuteChangeSet", "")

    def dns_answer(self, name: str, kind: str) -> tuple[int, bytes]:
        if self.dns_is_down:
            return 503, b"{}"
        found = self.names.get((name, kind), [])
        number = DNS_NUMBERS[kind]
        answer = [{"name": name, "type": number, "data": data} for data in found]
        return 200, json.dumps({"Status": 0, "Answer": answer}).encode()


def stack_xml(name: str, status: str) -> bytes:
    stack = (
        f"<StackId>arn:aws:cloudformation:us-east-1:1:stack/{name}/1</StackId>"
        f"<StackName>{name}</StackName><CreationTime>2026-01-01T00:00:00Z</CreationTime>"
        f"<StackStatus>{status}</StackStatus>"
    )
    return _result("DescribeStacks", f"<Stacks><member>{stack}</member></Stacks>")


def events_xml(name: str, *events: Mapping[str, str]) -> bytes:
    """Newest first, as CloudFormation lists them; each with resource, kind, status and reason."""
    members = "".join(
        f"<member><StackId>1</StackId><StackName>{name}</StackName><EventId>{number}</EventId>"
        f"<LogicalResourceId>{event['resource']}</LogicalResourceId>"
        f"<ResourceType>{event['kind']}</ResourceType>"
        f"<ResourceStatus>{event['status']}</ResourceStatus>"
        f"<ResourceStatusReason>{event.get('reason', '')}</ResourceStatusReason>"
        f"<Timestamp>{event['at']}</Timestamp></member>"
        for number, event in enumerate(events)
    )
    return _result("DescribeStackEvents", f"<StackEvents>{members}</StackEvents>")


def resources_xml(*resources: Mapping[str, str]) -> bytes:
    members = "".join(
        f"<member><LogicalResourceId>{each['resource']}</LogicalResourceId>"
        f"<PhysicalResourceId>{each['id']}</PhysicalResourceId>"
        f"<ResourceType>{each['kind']}</ResourceType>"
        f"<ResourceStatus>{each['status']}</ResourceStatus>"
        "<LastUpdatedTimestamp>2026-01-01T00:00:00Z</LastUpdatedTimestamp></member>"
        for each in resources
    )
    summaries = f"<StackResourceSummaries>{members}</StackResourceSummaries>"
    return _result("ListStackResources", summaries)


def _result(action: str, content: str) -> bytes:
    return (
        f"<{action}Response><{action}Result>{content}</{action}Result></{action}Response>".encode()
    )


@contextmanager
def aws_front(upstream: str) -> Iterator[AwsFront]:
    front = AwsFront(upstream)
    server = ThreadingHTTPServer(("127.0.0.1", 0), _handler(front))
    server.daemon_threads = True
    front.address = f"http://127.0.0.1:{server.server_port}"
    front.set_quotas(fargate=100, codebuild=1, vpc=10_000)
    front.set_lambda_concurrency(1000)
    # moto has no such action.
    front.answer_always(PROTECTION, _result("UpdateTerminationProtection", ""))
    with served(server):
        yield front


def _handler(front: AwsFront) -> type[BaseHTTPRequestHandler]:
    class Handler(QuietHandler):
        protocol_version = "HTTP/1.1"

        def _serve(self) -> None:
            body = self.rfile.read(int(self.headers.get("content-length", "0")))
            url = urlsplit(self.path)
            if url.path == DNS_PATH:
                query = parse_qs(url.query)
                self._reply(*front.dns_answer(query["name"][0], query["type"][0]), {})
                return
            form = parse_qs(body.decode("latin-1")) if b"Action=" in body else {}
            action = _action(self.command, self.headers, url.path, form)
            front.asked.append(action)
            if found := front.find(action, form):
                self._reply(*found, {})
            else:
                self._forward(body)

        def _forward(self, body: bytes) -> None:
            upstream = http.client.HTTPConnection(urlsplit(front.upstream).netloc)
            try:
                path = self.path.replace(f"/hostedzone/{ZONE_PREFIX}", "/hostedzone/")
                upstream.request(self.command, path, body, dict(self.headers.items()))
                answer = upstream.getresponse()
                self._reply(answer.status, answer.read(), dict(answer.getheaders()))
            finally:
                upstream.close()

        def _reply(self, status: int, body: bytes, headers: Mapping[str, str]) -> None:
            self.send_response_only(status)
            for name, value in headers.items():
                if name.lower() not in ("content-length", "transfer-encoding", "connection"):
                    self.send_header(name, value)
            self.send_header("content-length", str(len(body)))
            self.end_headers()
            if self.command != "HEAD":
                self.wfile.write(body)

        do_GET = do_POST = do_PUT = do_DELETE = do_HEAD = _serve

    return Handler


def _action(method: str, headers: Any, path: str, form: Mapping[str, list[str]]) -> str:
    scope = re.search(r"Credential=\w+/\d+/[\w-]+/([\w-]+)/", headers.get("authorization", ""))
    service = scope.group(1) if scope else ""
    if target := headers.get("x-amz-target"):
        return f"{service}:{target.rpartition('.')[2]}"
    return f"{service}:{form['Action'][0]}" if form else f"{method} {path.rstrip('/')}"
