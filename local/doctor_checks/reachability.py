"""Checks that Telnyx can reach us: sends requests without credentials to the webhooks and the media
container, which must refuse them."""

import asyncio
import json
import socket
import ssl
from collections.abc import Iterator
from http import HTTPStatus
from typing import Any
from urllib.parse import urlsplit

import httpx
from websockets.asyncio.client import connect
from websockets.exceptions import InvalidHandshake, InvalidStatus, InvalidURI

from doctor_checks.addresses import is_local
from doctor_checks.config import DoctorConfig
from doctor_checks.findings import Finding, Problem, healthy, not_asked, problem_found
from media_bridge.runtime.server import MEDIA_PATH, TOKEN_HEADER

TIMEOUT_SECONDS = 10.0
SOON_DAYS = 14


def check(config: DoctorConfig, now: float) -> Iterator[Finding]:
    unusable = list(_unusable_urls(config))
    yield from unusable
    if unusable:
        yield not_asked("webhooks and media container")
        return
    addresses = map(_tls_address, (config.base_public_url, config.media_public_url))
    for host, port in sorted(set(filter(None, addresses))):
        yield from _certificate(host, port, now)
    yield _webhooks(config)
    yield _media(config)


def _unusable_urls(config: DoctorConfig) -> Iterator[Finding]:
    """Find the URLs that are missing, or lead to this machine while Telnyx is elsewhere."""
    if not config.base_public_url:
        yield problem_found(Problem.PUBLIC_URL_MISSING)
    elif not config.has_reachable_url:
        yield problem_found(Problem.PUBLIC_URL_LOCAL, config.base_public_url)
    elif is_local(config.media_public_url) and not config.is_simulated_carrier:
        yield problem_found(Problem.MEDIA_URL_LOCAL, config.media_public_url)


def _tls_address(url: str) -> tuple[str, int] | None:
    try:
        parts = urlsplit(url)
        port = parts.port or 443
    except ValueError:
        return None  # not a URL: the check that connects to it reports that
    is_secure = parts.scheme in ("https", "wss") and parts.hostname
    return (str(parts.hostname), port) if is_secure else None


def _certificate(host: str, port: int, now: float) -> Iterator[Finding]:
    """Check the certificate. Nothing is reported if the server does not answer, because another
    check does that."""
    context = ssl.create_default_context()
    try:
        with (
            socket.create_connection((host, port), TIMEOUT_SECONDS) as plain,
            context.wrap_socket(plain, server_hostname=host) as wrapped,
        ):
            certificate: Any = wrapped.getpeercert()
    except ssl.SSLCertVerificationError as error:
        yield problem_found(Problem.CERTIFICATE_INVALID, f"{host}: {error.verify_message}")
    except OSError:
        return
    else:
        days = round((ssl.cert_time_to_seconds(certificate["notAfter"]) - now) / 86_400)
        if days < SOON_DAYS:
            yield problem_found(Problem.CERTIFICATE_EXPIRES, f"{host}: it expires in {days} days")
        else:
            yield healthy(f"TLS certificate of {host}")


def _webhooks(config: DoctorConfig) -> Finding:
    try:
        answer = httpx.post(config.webhook_url, content=b"{}", timeout=TIMEOUT_SECONDS)
    except (httpx.HTTPError, httpx.InvalidURL) as error:
        return problem_found(Problem.PUBLIC_URL_UNREACHABLE, error)
    problem = _error(answer.content)
    match answer.status_code, problem.get("code"):
        case HTTPStatus.UNAUTHORIZED, "invalid_signature":
            return healthy(f"webhooks at {config.webhook_url}")
        case HTTPStatus.SERVICE_UNAVAILABLE, "not_configured":
            return problem_found(Problem.WEBHOOKS_NOT_CONFIGURED, problem.get("message"))
        case _:
            return problem_found(Problem.PUBLIC_URL_ELSEWHERE, f"HTTP {answer.status_code}")


def _media(config: DoctorConfig) -> Finding:
    try:
        asyncio.run(_open_media_socket(config))
    except InvalidStatus as refusal:
        if _error(bytes(refusal.response.body or b"")).get("code") == "refused":
            return healthy(f"media container at {config.media_public_url}")
        return problem_found(Problem.MEDIA_ELSEWHERE, f"HTTP {refusal.response.status_code}")
    except (OSError, TimeoutError, InvalidHandshake, InvalidURI, ValueError) as error:
        return problem_found(Problem.MEDIA_UNREACHABLE, error)
    return problem_found(Problem.MEDIA_ELSEWHERE, "it lets strangers in")


async def _open_media_socket(subject: DoctorConfig) -> None:
    async with connect(
        f"{subject.media_public_url}{MEDIA_PATH}doctor/1",
        additional_headers={TOKEN_HEADER: "doctor"},
        open_timeout=TIMEOUT_SECONDS,
        close_timeout=TIMEOUT_SECONDS,
    ):
        pass


def _error(body: bytes) -> dict[str, Any]:
    """Return the error of a response in our error shape."""
    try:
        error = json.loads(body)["error"]
    except (ValueError, KeyError, TypeError):
        return {}
    return error if isinstance(error, dict) else {}
