"""POST /webhooks/telnyx: verifies, parses and applies webhooks. Telnyx repeats a webhook after 408,
429 or 5xx, and gives up after any other 4xx (Telnyx, "Voice API webhooks")."""

import json
from http import HTTPStatus
from typing import Any

from control_plane.services import control_plane, log
from control_plane.webhooks import deliver, verify_webhook
from phonebridge.errors import InvalidSignature, MalformedRequest, NotConfigured

_REFUSALS: dict[type[Exception], tuple[HTTPStatus, str]] = {
    MalformedRequest: (HTTPStatus.BAD_REQUEST, "unreadable"),
    InvalidSignature: (HTTPStatus.UNAUTHORIZED, "invalid_signature"),
    NotConfigured: (HTTPStatus.SERVICE_UNAVAILABLE, "not_configured"),
}


def handler(event: dict[str, Any], context: object) -> dict[str, Any]:
    try:
        plane = control_plane()
        plane.settings.require_webhooks()
        deliver(plane, verify_webhook(plane, event))
    except tuple(_REFUSALS) as error:
        status, code = _REFUSALS[type(error)]
        log.warning("webhook refused", code=code, reason=str(error))
        return _answer(status, {"error": {"code": code, "message": str(error)}})
    except Exception:  # noqa: BLE001 - the border of the handler: a redelivery may find what failed mended
        log.exception("webhook FAILED")
        message = "The webhook was not applied; deliver it again."
        return _answer(
            HTTPStatus.INTERNAL_SERVER_ERROR, {"error": {"code": "internal", "message": message}}
        )
    return _answer(HTTPStatus.OK, {"received": True})


def _answer(status: HTTPStatus, body: dict[str, Any]) -> dict[str, Any]:
    return {
        "statusCode": status.value,
        "headers": {"content-type": "application/json"},
        "body": json.dumps(body),
    }
