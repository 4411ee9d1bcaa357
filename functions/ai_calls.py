"""The HTTP API of calls, agents and numbers. Its routes are in `control_plane/api/`."""

from typing import Annotated, Any

from pydantic import Field

from control_plane.api import agents, browser_calls, calls, live_calls
from control_plane.api.document import document, responses_of
from control_plane.api.resolver import app, handler

__all__ = ["app", "handler"]

app.include_router(agents.router)
app.include_router(live_calls.router)
app.include_router(calls.router)
app.include_router(browser_calls.router)


@app.get(
    "/api/openapi.json",
    operation_id="get_openapi",
    summary="This document",
    tags=["document"],
    responses=responses_of({200: "The OpenAPI 3.1 document of this API."}),
)
def openapi() -> Annotated[dict[str, Any], Field(description="The document.")]:
    return document(app)
