"""`POST /simulator/calls` lets a simulated caller call one of our numbers. Only programs on this
machine may use it."""

from typing import Annotated

import msgspec
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from aws.gateway import is_from_here
from simulators.telnyx.server import TelnyxSimulator

PATH = "/simulator/calls"
DEFAULT_CALLER = "+15550123"
PhoneNumber = Annotated[str, msgspec.Meta(pattern=r"^\+[1-9]\d{6,14}$")]


class RingRequest(msgspec.Struct, forbid_unknown_fields=True):
    to: PhoneNumber
    from_: PhoneNumber = msgspec.field(default=DEFAULT_CALLER, name="from")


def ring_route(telnyx: TelnyxSimulator | None) -> Route:
    async def ring(request: Request) -> Response:
        if not is_from_here(request):
            return _error(403, "forbidden", "Only this machine may use the simulator.")
        if telnyx is None:
            message = "The phone is not simulated: call the number with a real one."
            return _error(409, "not_simulated", message)
        try:
            wanted = msgspec.json.decode(await request.body(), type=RingRequest)
        except msgspec.DecodeError as error:
            message = f'Send {{"to": "+15550100"}}, and "from" if you like: {error}.'
            return _error(422, "invalid_field", message)
        call = await telnyx.ring(to=wanted.to, from_=wanted.from_)
        placed = {"call_control_id": call.call_control_id, "to": call.to, "from": call.from_}
        return JSONResponse(placed, 201)

    return Route(PATH, ring, methods=["POST"])


def _error(status: int, code: str, message: str) -> Response:
    return JSONResponse({"error": {"code": code, "message": message}}, status)
