"""What the talk page shows about this machine.

`GET /console/status` says what is simulated and what is missing. `GET /console/findings` asks the
real services, as `make doctor` does.

Only programs on this machine may use them.
"""

import time
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Literal

from anyio.to_thread import run_sync
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from aws.gateway import is_from_here
from doctor_checks import services
from doctor_checks.config import DoctorConfig
from doctor_checks.findings import Finding
from real_phone import missing_for_real_phone


@dataclass(frozen=True, slots=True)
class Feature:
    title: str
    state: Literal["ready", "simulated", "missing"]
    explanation: str
    settings: tuple[str, ...] = ()
    """The settings that would change the state."""


@dataclass(frozen=True, slots=True)
class ConsoleStatus:
    model: str
    phone: str
    features: tuple[Feature, ...]
    can_ring: bool
    """Whether a simulated caller can call a number."""


def status_of(
    given: Mapping[str, str], *, simulates_model: bool, simulates_phone: bool
) -> ConsoleStatus:
    """Describe the stack. `given` has the settings of the developer."""
    return ConsoleStatus(
        model="simulated" if simulates_model else given.get("OPENAI_MODEL") or "OpenAI Realtime",
        phone="simulated" if simulates_phone else "Telnyx",
        features=(_talk(given, simulates_model), _ring(simulates_phone), _real_phone(given)),
        can_ring=simulates_phone,
    )


def _talk(given: Mapping[str, str], simulates_model: bool) -> Feature:
    title = "Talk to an agent in this page"
    if simulates_model:
        explanation = (
            "The simulated model says your greeting, repeats what you say, and calls each tool "
            "once. To talk to the real model, set"
        )
        return Feature(title, "simulated", explanation, ("OPENAI_API_KEY",))
    if given.get("OPENAI_API_KEY"):
        return Feature(title, "ready", "You talk to the real model. Each call costs money.")
    return Feature(title, "missing", "The model needs a key. Set", ("OPENAI_API_KEY",))


def _ring(simulates_phone: bool) -> Feature:
    title = "Let an agent answer a number"
    if not simulates_phone:
        return Feature(title, "ready", "Call a number of your Telnyx account with any phone.")
    explanation = "Give a number to an agent. Then a simulated caller can call it: make ring."
    return Feature(title, "simulated", explanation)


def _real_phone(given: Mapping[str, str]) -> Feature:
    title = "Talk over a real phone"
    missing = tuple(missing_for_real_phone(given))
    if missing:
        return Feature(title, "missing", "It needs a Telnyx account and a tunnel. Set", missing)
    return Feature(title, "ready", "Check the settings below before the first call.")


def console_routes(status: ConsoleStatus, given: Mapping[str, str]) -> list[Route]:
    async def answer_status(request: Request) -> Response:
        return JSONResponse(asdict(status)) if is_from_here(request) else _forbidden()

    async def answer_findings(request: Request) -> Response:
        if not is_from_here(request):
            return _forbidden()
        findings = await run_sync(_findings, DoctorConfig.from_env(given))
        return JSONResponse({"findings": findings})

    return [
        Route("/console/status", answer_status),
        Route("/console/findings", answer_findings),
    ]


def _findings(config: DoctorConfig) -> list[dict[str, str]]:
    return [_describe(finding) for finding in services.check(config, time.time())]


def _describe(finding: Finding) -> dict[str, str]:
    level, _, text = str(finding).partition(" ")
    return {"level": level.lower(), "text": text.strip()}


def _forbidden() -> Response:
    error = {"code": "forbidden", "message": "Only this machine may see its settings."}
    return JSONResponse({"error": error}, 403)
