"""The account of the Telnyx simulator: applications, numbers and keys.

Shapes are those of Telnyx's OpenAPI ("Call Control applications", "Phone numbers", "Balance"). The
public key has the shape that customers see at GET /v2/public_key.
"""

import uuid
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from typing import Any

import msgspec
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from simulators.telnyx.commands import ApiError

CONNECTION_ID = "1494404757140276705"
PROFILE_ID = "1293384261075731499"
PAGE_SIZE = 20


@dataclass(slots=True)
class OwnedNumber:
    status: str = "active"
    connection_id: str | None = CONNECTION_ID


@dataclass(slots=True)
class Account:
    """State of the account. Tests change it to simulate problems."""

    active: bool = True
    webhook_event_url: str = "http://localhost:3000/webhooks/telnyx"
    webhook_api_version: str = "2"
    outbound_voice_profile_id: str | None = PROFILE_ID
    profile_enabled: bool = True
    numbers: dict[str, OwnedNumber] = field(default_factory=lambda: {"+15550100": OwnedNumber()})
    verified_numbers: set[str] = field(default_factory=set)
    available_credit: str = "25.00"


class _ApplicationUpdate(msgspec.Struct):
    """An update must have both fields, whatever it changes."""

    application_name: str
    webhook_event_url: str
    webhook_api_version: str | None = None


class AccountApi:
    def __init__(
        self,
        account: Account,
        public_key: Callable[[], str],
        admit: Callable[..., Awaitable[bytes]],
    ) -> None:
        self._account = account
        self._public_key = public_key
        self._admit = admit

    def routes(self) -> list[Route]:
        application = "/v2/call_control_applications/{id}"
        return [
            Route(application, self._show_application, methods=["GET"]),
            Route(application, self._update_application, methods=["PATCH"]),
            Route("/v2/outbound_voice_profiles/{id}", self._show_profile, methods=["GET"]),
            Route("/v2/phone_numbers", self._list_numbers, methods=["GET"]),
            Route("/v2/verified_numbers/{number}", self._show_verified, methods=["GET"]),
            Route("/v2/balance", self._show_balance, methods=["GET"]),
            Route("/v2/public_key", self._show_public_key, methods=["GET"]),
        ]

    async def _show_application(self, request: Request) -> Response:
        await self._admit(request)
        return self._application(request)

    async def _update_application(self, request: Request) -> Response:
        body = await self._admit(request)
        try:
            update = msgspec.json.decode(body, type=_ApplicationUpdate)
        except msgspec.DecodeError as error:
            raise ApiError(422, "10004", "Missing required parameter", str(error)) from error
        if not update.webhook_event_url.startswith(("http://", "https://")):
            pointer = "/webhook_event_url"
            raise ApiError(422, "10015", "Invalid URL", "It must include a scheme", pointer)
        answer = self._application(request, update)
        self._account.webhook_event_url = update.webhook_event_url
        self._account.webhook_api_version = (
            update.webhook_api_version or self._account.webhook_api_version
        )
        return answer

    def _application(self, request: Request, update: _ApplicationUpdate | None = None) -> Response:
        if request.path_params["id"] != CONNECTION_ID:
            raise ApiError(404, "10005", "Resource not found")
        account = self._account
        return _answer(
            {
                "record_type": "call_control_application",
                "id": CONNECTION_ID,
                "application_name": update.application_name if update else "phonebridge",
                "active": account.active,
                "anchorsite_override": "Latency",
                "webhook_event_url": update.webhook_event_url
                if update
                else account.webhook_event_url,
                "webhook_event_failover_url": None,
                "webhook_api_version": account.webhook_api_version,
                "webhook_timeout_secs": None,
                "inbound": {"channel_limit": None, "shaken_stir_enabled": False},
                "outbound": {
                    "channel_limit": None,
                    "outbound_voice_profile_id": account.outbound_voice_profile_id,
                },
            }
        )

    async def _show_profile(self, request: Request) -> Response:
        await self._admit(request)
        if request.path_params["id"] != PROFILE_ID:
            raise ApiError(404, "10005", "Resource not found")
        return _answer(
            {
                "record_type": "outbound_voice_profile",
                "id": PROFILE_ID,
                "name": "default",
                "enabled": self._account.profile_enabled,
                "whitelisted_destinations": ["US", "CA"],
            }
        )

    async def _list_numbers(self, request: Request) -> Response:
        """List numbers. A filter with characters other than digits finds nothing."""
        await self._admit(request)
        wanted = request.query_params.get("filter[phone_number]", "")
        found = [
            _number(number, owned)
            for number, owned in self._account.numbers.items()
            if not wanted or (wanted.isdecimal() and wanted in number)
        ]
        meta = {
            "page_number": 1,
            "page_size": PAGE_SIZE,
            "total_pages": 1,
            "total_results": len(found),
        }
        return JSONResponse({"data": found[:PAGE_SIZE], "meta": meta})

    async def _show_verified(self, request: Request) -> Response:
        await self._admit(request)
        number = request.path_params["number"]
        if number not in self._account.verified_numbers:
            raise ApiError(404, "10005", "Resource not found")
        return _answer({"record_type": "verified_number", "phone_number": number})

    async def _show_balance(self, request: Request) -> Response:
        await self._admit(request)
        credit = self._account.available_credit
        return _answer(
            {
                "record_type": "balance",
                "balance": credit,
                "credit_limit": "0.00",
                "available_credit": credit,
                "currency": "USD",
            }
        )

    async def _show_public_key(self, request: Request) -> Response:
        await self._admit(request)
        organization = str(uuid.uuid5(uuid.NAMESPACE_URL, "simulators.telnyx"))
        return _answer(
            {
                "record_type": "public_key",
                "public": self._public_key(),
                "organization_id": organization,
            }
        )


def _number(number: str, owned: OwnedNumber) -> dict[str, Any]:
    return {
        "record_type": "phone_number",
        "id": str(uuid.uuid5(uuid.NAMESPACE_URL, number)),
        "phone_number": number,
        "country_iso_alpha2": "US",
        "status": owned.status,
        "connection_id": owned.connection_id,
        "tags": [],
    }


def _answer(data: dict[str, Any]) -> Response:
    return JSONResponse({"data": data})
