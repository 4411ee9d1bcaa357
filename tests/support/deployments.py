"""Everything that a deployment needs to succeed: an account, a delegated zone, both providers, and
what answers for the stack."""

import asyncio
import json
import ssl
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path
from urllib.parse import urlsplit

from benchmarks.media.certificate import self_signed
from simulators.telnyx.account import CONNECTION_ID
from tests.support.aws_front import DNS_PATH, ZONE_PREFIX, AwsFront
from tests.support.deployers import ROOT, Machine
from tests.support.doctor_setups import NUMBER, House, Patient, opened, patient

KEYS = {"OPENAI_API_KEY": "sk-test-very-secret", "TELNYX_API_KEY": "KEY-test-very-secret"}
DOMAIN = "example.com"
MEDIA_HOST = f"media.{DOMAIN}"
MODEL_HOST = f"model.{DOMAIN}"
ZONES: dict[str, str] = {}
"""The zone of each machine's stack."""


def deploying_machine(folder: Path, front: AwsFront) -> Machine:
    """Return a machine with its own public zone, to which the domain is delegated."""
    machine = Machine(folder, front.address)
    front.change_sets = folder / "change_sets"
    machine.environ["CHANGE_SETS"] = str(front.change_sets)
    machine.environ["DNS_OVER_HTTPS_URL"] = front.address + DNS_PATH
    machine.environ["PYTHONPATH"] = str(ROOT / "tests/support/name_service")
    zone = machine.client("route53").create_hosted_zone(Name=DOMAIN, CallerReference=machine.stack)
    ZONES[machine.stack] = ZONE_PREFIX + zone["HostedZone"]["Id"].rpartition("/")[2]
    front.names[DOMAIN, "NS"] = [f"{name}." for name in zone["DelegationSet"]["NameServers"]]
    return machine


def settings(machine: Machine, **more: str) -> list[str]:
    given = {
        "TelnyxConnectionId": CONNECTION_ID,
        "TelnyxFromNumber": NUMBER,
        "MediaDomainName": MEDIA_HOST,
        "HostedZoneId": ZONES[machine.stack],
    } | more
    return [part for name, value in given.items() for part in ("--set", f"{name}={value}")]


@asynccontextmanager
async def world(machine: Machine) -> AsyncIterator[tuple[Patient, list[str]]]:
    """Providers, what answers for the stack, and the settings that lead there."""
    certificate = self_signed(machine.folder, f"*.{DOMAIN}", days=90)
    media = House(certificate=certificate)
    async with AsyncExitStack() as exits:
        well = await exits.enter_async_context(patient(House()))
        exits.enter_context(opened(media))
        model = urlsplit(well.subject.openai_realtime_url)
        assert model.port
        model_port = await exits.enter_async_context(_tls(certificate, model.port))
        machine.environ |= KEYS | {
            "API_URL": well.subject.base_public_url,
            "TELNYX_API_BASE": well.telnyx.api_base,
            "SSL_CERT_FILE": certificate,
            "NAMES": json.dumps({MEDIA_HOST: media.port, MODEL_HOST: model_port}),
        }
        yield well, settings(machine, OpenAiRealtimeUrl=f"wss://{MODEL_HOST}{model.path}")


@asynccontextmanager
async def _tls(certificate: str, port: int) -> AsyncIterator[int]:
    """TLS in front of a server on this machine; its own port."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate)

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        plain_reader, plain_writer = await asyncio.open_connection("127.0.0.1", port)
        await asyncio.gather(_copy(reader, plain_writer), _copy(plain_reader, writer))

    server = await asyncio.start_server(serve, "127.0.0.1", 0, ssl=context)
    try:
        yield server.sockets[0].getsockname()[1]
    finally:
        server.close()


async def _copy(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    try:
        while data := await reader.read(65_536):
            writer.write(data)
            await writer.drain()
    except ConnectionError:
        pass  # whoever is at the other end has left
    finally:
        writer.close()
