"""The local API Gateway, as handlers and clients see it."""

import asyncio
import importlib
import json
import re
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import httpx
import pytest
from starlette.applications import Starlette

from aws import gateway
from aws.gateway import MAX_BODY_BYTES, create_app
from aws.template import TEMPLATE
from tests.support.waiting import TIMEOUT_SECONDS

ROOT = TEMPLATE.parent
RECORDED = {
    path.stem: json.loads(path.read_text()) for path in sorted((ROOT / "events" / "api").glob("*"))
}
NO_MEDIA = "ws://127.0.0.1:9"

HANDLERS = """
import json, threading

released = threading.Event()
ticked = threading.Semaphore(0)

def echo(event, context):
    return event

def obey(event, context):
    return json.loads(event["body"])

def describe(event, context):
    return {
        "name": context.function_name,
        "memory": context.memory_limit_in_mb,
        "arn": context.invoked_function_arn,
        "request": context.aws_request_id,
        "remaining": context.get_remaining_time_in_millis(),
    }

def fail(event, context):
    raise TimeoutError("of the handler, not of the gateway")

def unprintable(event, context):
    return {1, 2}

def hang(event, context):
    released.wait()

def tick(event, context):
    ticked.release()
    raise RuntimeError("the next tick comes all the same")
"""

FUNCTIONS = "".join(
    f"""
  {name.title()}:
    Type: AWS::Serverless::Function
    Properties:
      Handler: gateway_probe.{name}
      Events:
        Asked: {{Type: HttpApi, Properties: {{Method: POST, Path: /{name}}}}}
"""
    for name in ("obey", "describe", "fail", "unprintable", "hang")
)
ECHOES = """
  Echo:
    Type: AWS::Serverless::Function
    Properties:
      Handler: gateway_probe.echo
      Events:
        One: {Type: HttpApi, Properties: {Method: GET, Path: "/things/{thingId}"}}
        All: {Type: HttpApi, Properties: {Method: GET, Path: /things/all}}
        New: {Type: HttpApi, Properties: {Method: POST, Path: /things}}
        Rest: {Type: HttpApi, Properties: {Method: ANY, Path: "/things/{proxy+}"}}
  Tick:
    Type: AWS::Serverless::Function
    Properties:
      Handler: gateway_probe.tick
      Events:
        Minute: {Type: ScheduleV2, Properties: {ScheduleExpression: rate(1 minute)}}
"""


@pytest.fixture(scope="module")
def project(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """Create a template with its handlers."""
    folder = tmp_path_factory.mktemp("project")
    (folder / "functions").mkdir()
    (folder / "functions" / "gateway_probe.py").write_text(HANDLERS)
    (folder / "template.yaml").write_text(f"Resources:{FUNCTIONS}{ECHOES}")
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(folder / "functions")
        yield folder


@pytest.fixture
def app(project: Path) -> Starlette:
    return create_app([NO_MEDIA], project / "template.yaml")


@pytest.fixture
def echoing(project: Path) -> Starlette:
    """The routes of the real template, with handlers that return the event."""
    template = project / "echoing.yaml"
    template.write_text(
        re.sub(r"(?m)Handler: \S+$", "Handler: gateway_probe.echo", TEMPLATE.read_text())
    )
    return create_app([NO_MEDIA], template)


@pytest.fixture
def open_echoing(project: Path) -> Starlette:
    """The same for requests from other hosts, such as recorded ones."""
    template = project / "open.yaml"
    echoing = re.sub(r"(?m)Handler: \S+$", "Handler: gateway_probe.echo", TEMPLATE.read_text())
    route = "{ApiId: !Ref HttpApi, "
    template.write_text(echoing.replace(route, route + "Auth: {Authorizer: NONE}, "))
    return create_app([NO_MEDIA], template)


@pytest.fixture
def probe(project: Path) -> Any:
    return importlib.import_module("gateway_probe")


@asynccontextmanager
async def client_of(app: Starlette) -> AsyncIterator[httpx.AsyncClient]:
    transport = httpx.ASGITransport(app)
    async with httpx.AsyncClient(transport=transport, base_url="http://localhost:3000") as client:
        yield client


@pytest.fixture
async def client(app: Starlette) -> AsyncIterator[httpx.AsyncClient]:
    async with client_of(app) as client:
        yield client


class TestEvents:
    @pytest.mark.parametrize("name", RECORDED)
    async def test_are_those_of_api_gateway(self, name: str, open_echoing: Starlette) -> None:
        """Compare events, apart from what differs between any two requests."""
        expected = RECORDED[name]
        request = httpx.Request(
            expected["requestContext"]["http"]["method"],
            f"http://localhost:3000{expected['rawPath']}?{expected['rawQueryString']}".rstrip("?"),
            headers=expected["headers"],
            content=expected.get("body"),
        )

        async with client_of(open_echoing) as client:
            event = (await client.send(request)).json()

        assert _lasting(event) == _lasting(expected)
        assert event["requestContext"].keys() == expected["requestContext"].keys()
        assert expected["headers"].keys() <= event["headers"].keys()

    async def test_repeated_headers_and_parameters_are_joined(
        self, client: httpx.AsyncClient
    ) -> None:
        event = (
            await client.get(
                "/things/a%20b%2Fc?tag=x&tag=y%2Cz&empty=",
                headers=[("X-Thing", "1"), ("x-thing", "2"), ("Cookie", "a=1; b=2")],
            )
        ).json()

        assert event["headers"]["x-thing"] == "1,2"
        assert event["rawQueryString"] == "tag=x&tag=y%2Cz&empty="
        assert event["queryStringParameters"] == {"tag": "x,y,z", "empty": ""}
        assert event["pathParameters"] == {"thingId": "a b/c"}
        assert event["rawPath"] == "/things/a%20b%2Fc"
        assert event["cookies"] == ["a=1", "b=2"]
        assert "cookie" not in event["headers"]
        assert "body" not in event

    @pytest.mark.parametrize(
        ("content_type", "body", "seen", "is_base64"),
        [
            ("application/json; charset=utf-8", b'"\xc3\xbc"', '"ü"', False),
            ("text/plain", b"x", "x", False),
            ("application/x-www-form-urlencoded", b"a=1", "YT0x", True),
            ("application/octet-stream", b"\x00", "AA==", True),
            ("application/json", b"\xff", "/w==", True),
            ("", b"x", "eA==", True),
        ],
    )
    async def test_a_body_that_is_no_text_comes_as_base64(
        self,
        content_type: str,
        body: bytes,
        seen: str,
        is_base64: bool,
        client: httpx.AsyncClient,
    ) -> None:
        headers = {"content-type": content_type}
        event = (await client.post("/things", content=body, headers=headers)).json()

        assert (event["body"], event["isBase64Encoded"]) == (seen, is_base64)


class TestRoutes:
    async def test_a_literal_path_goes_before_a_parameter(self, client: httpx.AsyncClient) -> None:
        assert (await client.get("/things/all")).json()["routeKey"] == "GET /things/all"
        assert (await client.get("/things/1")).json()["routeKey"] == "GET /things/{thingId}"

    @pytest.mark.parametrize(
        ("method", "path", "rest"),
        [
            ("GET", "/things/1/2", "1/2"),
            ("PUT", "/things/1", "1"),
            ("DELETE", "/things/all", "all"),
        ],
    )
    async def test_a_greedy_path_takes_what_no_other_route_does(
        self, method: str, path: str, rest: str, client: httpx.AsyncClient
    ) -> None:
        event = (await client.request(method, path)).json()

        assert event["routeKey"] == "ANY /things/{proxy+}"
        assert event["pathParameters"] == {"proxy": rest}

    @pytest.mark.parametrize(
        ("method", "path"), [("GET", "/"), ("PUT", "/things"), ("GET", "/obey"), ("GET", "/thing")]
    )
    async def test_an_unknown_route_is_not_found(
        self, method: str, path: str, client: httpx.AsyncClient
    ) -> None:
        answer = await client.request(method, path)

        assert (answer.status_code, answer.json()) == (404, {"message": "Not Found"})

    async def test_pages_of_elsewhere_are_kept_out(self, client: httpx.AsyncClient) -> None:
        headers = {"sec-fetch-site": "cross-site"}

        assert (await client.post("/things", headers=headers)).status_code == 403

    @pytest.mark.parametrize(
        "headers",
        [{"host": "example.ngrok.app"}, {"x-forwarded-for": "203.0.113.7"}, {"forwarded": "by=x"}],
    )
    async def test_the_tunnel_serves_webhooks_but_no_api(
        self, headers: dict[str, str], echoing: Starlette
    ) -> None:
        async with client_of(echoing) as client:
            api = await client.get("/api/ai-calls/status", headers=headers)
            webhook = await client.post("/webhooks/telnyx", headers=headers)

        assert (api.status_code, webhook.status_code) == (403, 200)

    async def test_the_gateway_reports_its_health(self, client: httpx.AsyncClient) -> None:
        assert (await client.get("/healthz")).text == "ok"


class TestAnswers:
    async def test_all_parts_of_a_response(self, client: httpx.AsyncClient) -> None:
        result = {
            "statusCode": 418,
            "headers": {"X-Pot": "tea", "X-Cups": 2, "Content-Type": "text/plain"},
            "cookies": ["a=1; Secure", "b=2"],
            "body": "c2hvcnQ=",
            "isBase64Encoded": True,
        }

        answer = await client.post("/obey", json=result)

        assert (answer.status_code, answer.text) == (418, "short")
        assert (answer.headers["x-pot"], answer.headers["x-cups"]) == ("tea", "2")
        assert answer.headers["content-type"].startswith("text/plain")
        assert answer.headers.get_list("set-cookie") == ["a=1; Secure", "b=2"]

    @pytest.mark.parametrize("result", [{"hello": "world"}, "hello", ["hello"], None])
    async def test_anything_else_is_a_body(self, result: object, client: httpx.AsyncClient) -> None:
        headers = {"content-type": "application/json"}
        answer = await client.post("/obey", content=json.dumps(result), headers=headers)

        assert (answer.status_code, answer.json()) == (200, result)
        assert answer.headers["content-type"] == "application/json"

    async def test_a_status_is_enough(self, client: httpx.AsyncClient) -> None:
        answer = await client.post("/obey", json={"statusCode": 204})

        assert (answer.status_code, answer.content) == (204, b"")

    @pytest.mark.parametrize(
        "result",
        [
            {"statusCode": "many"},
            {"statusCode": 200, "body": {"not": "text"}},
            {"statusCode": 200, "headers": ["x"]},
            {"statusCode": 200, "body": "?", "isBase64Encoded": True},
        ],
    )
    async def test_rubbish_is_an_internal_error(
        self, result: object, client: httpx.AsyncClient
    ) -> None:
        answer = await client.post("/obey", json=result)

        assert (answer.status_code, answer.json()) == (500, {"message": "Internal Server Error"})

    @pytest.mark.parametrize("path", ["/fail", "/unprintable"])
    async def test_a_handler_that_fails_is_answered_500(
        self, path: str, client: httpx.AsyncClient
    ) -> None:
        answer = await client.post(path)

        assert (answer.status_code, answer.json()) == (500, {"message": "Internal Server Error"})

    async def test_a_handler_that_hangs_is_given_up(self, project: Path, probe: Any) -> None:
        app = create_app([NO_MEDIA], project / "template.yaml", integration_seconds=0.01)
        async with client_of(app) as client:
            answer = await client.post("/hang")
        probe.released.set()

        assert (answer.status_code, answer.json()) == (503, {"message": "Service Unavailable"})

    async def test_a_body_above_ten_megabytes_never_reaches_a_handler(
        self, client: httpx.AsyncClient
    ) -> None:
        longest = await client.post("/things", content=b"x" * MAX_BODY_BYTES)
        longer = await client.post("/things", content=b"x" * (MAX_BODY_BYTES + 1))

        assert longest.status_code == 200
        assert (longer.status_code, longer.json()) == (413, {"message": "Request Too Long"})

    async def test_handlers_are_told_where_they_run(self, client: httpx.AsyncClient) -> None:
        context = (await client.post("/describe")).json()

        assert context["name"] == "Describe"
        assert context["arn"].endswith(":function:Describe")
        assert 0 < context["remaining"] <= 30_000


async def test_schedules_tick_although_a_handler_fails(
    app: Starlette, probe: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(gateway, "MINUTE_SECONDS", 0.0)

    async with app.router.lifespan_context(app):
        for _ in range(2):
            assert await asyncio.to_thread(probe.ticked.acquire, timeout=TIMEOUT_SECONDS)


def _lasting(event: dict[str, Any]) -> dict[str, Any]:
    headers = {n: t for n, t in event["headers"].items() if not n.startswith(("x-", "content-l"))}
    context = {n: event["requestContext"][n] for n in ("domainName", "routeKey", "stage")}
    http = {
        n: event["requestContext"]["http"][n] for n in ("method", "path", "protocol", "userAgent")
    }
    return event | {"headers": headers, "requestContext": context | {"http": http}}
