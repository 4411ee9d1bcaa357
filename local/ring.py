"""A simulated caller calls one of your numbers: `make ring TO=+15550100`. Needs `make dev`."""

import argparse
import asyncio
import sys
from urllib.parse import quote

import httpx

from aws.ring_route import DEFAULT_CALLER, PATH

PORT = 3000
DEFAULT_AGENT = "default"
"""The agent that answers every number without an agent of its own."""


class CannotRing(Exception):
    """The call cannot be placed. The message says why and what to do."""


async def ring(url: str, to: str, from_: str) -> str:
    """Let a simulated caller call the number. Returns the name of the agent that answers."""
    try:
        async with httpx.AsyncClient(base_url=url, trust_env=False) as api:
            agent = await _agent_of(api, to)
            rung = await api.post(PATH, json={"to": to, "from": from_})
    except httpx.TransportError as error:
        raise CannotRing(f"Nothing answers on {url}: start `make dev` first.") from error
    if rung.is_error:
        raise CannotRing(rung.json()["error"]["message"])
    return agent


async def _agent_of(api: httpx.AsyncClient, number: str) -> str:
    mapped = await api.get(f"/api/numbers/{quote(number)}")
    if mapped.is_success:
        agent: str = mapped.json()["agent"]
        return agent
    if mapped.status_code != httpx.codes.NOT_FOUND:
        raise CannotRing(mapped.json()["error"]["message"])
    if (await api.get(f"/api/agents/{DEFAULT_AGENT}")).is_success:
        return DEFAULT_AGENT
    raise CannotRing(
        f"No agent answers {number}. Create one and give it the number:\n"
        f"  curl -X PUT {api.base_url}/api/agents/reception"
        """ -d '{"greeting": "Hello, how can I help?"}'\n"""
        f"""  curl -X PUT {api.base_url}/api/numbers/{number} -d '{{"agent": "reception"}}'"""
    )


def main() -> None:
    parser = argparse.ArgumentParser(prog="make ring", description=__doc__)
    parser.add_argument("to", help="a number that an agent answers")
    parser.add_argument("--from", dest="from_", default=DEFAULT_CALLER, help="the caller's number")
    parser.add_argument("--port", type=int, default=PORT, help="of `make dev`")
    options = parser.parse_args()
    try:
        agent = asyncio.run(ring(f"http://127.0.0.1:{options.port}", options.to, options.from_))
    except CannotRing as error:
        sys.exit(str(error))
    print(f"{options.from_} calls {options.to}; the agent {agent} answers. See `make dev`.")


if __name__ == "__main__":
    main()
