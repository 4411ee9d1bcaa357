"""Payload format 2.0 (API Gateway, "AWS Lambda proxy integrations for HTTP APIs").

It turns requests into the events that API Gateway makes, and a handler's results into responses.
"""

import base64
import json
import time
import uuid
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any
from urllib.parse import parse_qsl

from starlette.requests import Request
from starlette.responses import Response

JSON = "application/json"


def event_of(
    request: Request, body: bytes, route_key: str, path_parameters: Mapping[str, str]
) -> dict[str, Any]:
    raw_path = request.scope["raw_path"].decode()
    event: dict[str, Any] = {
        "version": "2.0",
        "routeKey": route_key,
        "rawPath": raw_path,
        "rawQueryString": request.url.query,
        "headers": _headers(request),
        "requestContext": _context(request, route_key, raw_path),
        "isBase64Encoded": False,
    }
    if cookies := request.headers.getlist("cookie"):
        event["cookies"] = [cookie for line in cookies for cookie in line.split("; ")]
    if query := parse_qsl(request.url.query, keep_blank_values=True):
        event["queryStringParameters"] = _join(query)
    if path_parameters:
        event["pathParameters"] = dict(path_parameters)
    if body:
        event |= _body(body, request.headers.get("content-type", ""))
    return event


def response_of(result: object) -> Response:
    """Build the response. Raises `TypeError`, `ValueError` or `AttributeError` for an invalid
    result."""
    if isinstance(result, dict) and "statusCode" in result:
        return _response(result)
    return Response(json.dumps(result), media_type=JSON)


def _headers(request: Request) -> dict[str, str]:
    headers = _join((name, text) for name, text in request.headers.items() if name != "cookie")
    return headers | {
        "x-amzn-trace-id": f"Root=1-{int(time.time()):08x}-{uuid.uuid4().hex[:24]}",
        "x-forwarded-for": _source_ip(request),
        "x-forwarded-port": str(request.url.port or 80),
        "x-forwarded-proto": request.url.scheme,
    }


def _join(pairs: Any) -> dict[str, str]:
    joined: dict[str, str] = {}
    for name, text in pairs:
        joined[name] = f"{joined[name]},{text}" if name in joined else text
    return joined


def _context(request: Request, route_key: str, raw_path: str) -> dict[str, Any]:
    now = datetime.now(UTC)
    host = request.headers.get("host", "localhost")
    return {
        "accountId": "000000000000",
        "apiId": "local",
        "domainName": host,
        "domainPrefix": host.split(".")[0],
        "http": {
            "method": request.method,
            "path": raw_path,
            "protocol": f"HTTP/{request.scope['http_version']}",
            "sourceIp": _source_ip(request),
            "userAgent": request.headers.get("user-agent", ""),
        },
        "requestId": str(uuid.uuid4()),
        "routeKey": route_key,
        "stage": "$default",
        "time": now.strftime("%d/%b/%Y:%H:%M:%S +0000"),
        "timeEpoch": int(now.timestamp() * 1000),
    }


def _source_ip(request: Request) -> str:
    return request.client.host if request.client else "127.0.0.1"


def _body(body: bytes, content_type: str) -> dict[str, Any]:
    if _is_text(content_type):
        try:
            return {"body": body.decode()}
        except UnicodeDecodeError:
            pass
    return {"body": base64.b64encode(body).decode(), "isBase64Encoded": True}


def _is_text(content_type: str) -> bool:
    """Whether a body is passed on as text. All others are base64, even forms."""
    kind = content_type.split(";")[0].strip().lower()
    return kind.startswith("text/") or kind.endswith(("/json", "+json", "/xml", "+xml"))


def _response(result: dict[str, Any]) -> Response:
    body = (result.get("body") or "").encode()
    if result.get("isBase64Encoded"):
        body = base64.b64decode(body, validate=True)
    headers = {name.lower(): str(text) for name, text in (result.get("headers") or {}).items()}
    response = Response(body, int(result["statusCode"]), {"content-type": "text/plain"} | headers)
    for cookie in result.get("cookies") or []:
        response.headers.append("set-cookie", cookie)
    return response
