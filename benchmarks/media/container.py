"""The programs under load. Each accepts Telnyx's media sockets on one port and talks to the model
at OPENAI_REALTIME_URL. Ours is the real media container, which writes to DynamoDB."""

import secrets
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path

import boto3

from benchmarks.drills.store_fault import StoreFault
from benchmarks.media.figures import Ticket
from phonebridge import stream_token
from phonebridge.call.call import Call, CallStatus, Direction, Leg
from phonebridge.call.config import CallConfig
from phonebridge.settings import ModelAudio
from phonebridge.storage.call_store import DynamoCallStore

ROOT = Path(__file__).resolve().parents[2]
PEERS = ROOT / "benchmarks" / "peers"
LOGS = ROOT / ".build"
TABLE = "benchmark"
TARGET_CORE, GENERATOR_CORE = 0, 1
STOP_SECONDS = 10.0
EVERY_AUDIO = tuple(ModelAudio)
MAX_CALLS = 1000
"""The largest MAX_CALLS_PER_TASK that the container accepts."""
ADMISSION_SECONDS = 600
"""Longest time until the last call has its media."""


@dataclass(frozen=True, slots=True)
class Target:
    """A program under load. `argv` follows its interpreter, and `--port` is appended."""

    name: str
    python: str
    argv: tuple[str, ...]
    audio: tuple[ModelAudio, ...] = EVERY_AUDIO
    environ: Mapping[str, str] = field(default_factory=dict)


def _peer(name: str, program: str, *audio: ModelAudio) -> Target:
    python = ROOT / ".venv-peers" / name / "bin" / "python"
    return Target(name, str(python), (str(PEERS / program),), audio or EVERY_AUDIO)


OURS = Target("phonebridge", sys.executable, ("-m", "media_bridge", "--host", "127.0.0.1"))
TARGETS = {
    target.name: target
    for target in (
        OURS,
        Target("relay", sys.executable, (str(PEERS / "relay.py"),)),
        replace(_peer("floor", "floor.py"), environ={"PYTHONPATH": str(ROOT / "media_container")}),
        _peer("pipecat", "pipecat_bot.py", ModelAudio.PCM24K),
        _peer("livekit", "livekit_bot.py", ModelAudio.PCM24K),
        _peer("agents_sdk", "agents_sdk_bot.py", ModelAudio.G711),
    )
}


@dataclass(frozen=True, slots=True)
class Database:
    """A local DynamoDB on the generator's core, for as long as `database` is open."""

    address: str
    store: DynamoCallStore
    secret: str

    def environ(self) -> dict[str, str]:
        return {
            "AWS_ENDPOINT_URL_DYNAMODB": self.address,
            "AWS_ACCESS_KEY_ID": "local",
            "AWS_SECRET_ACCESS_KEY": "local",
            "AWS_DEFAULT_REGION": "us-east-1",
            "CALLS_TABLE": TABLE,
            "STREAM_TOKEN_SECRET": self.secret,
            "TELNYX_API_KEY": "KEY-local",
            "TELNYX_API_BASE": "http://127.0.0.1:9",
            "MAX_CALLS_PER_TASK": str(MAX_CALLS),
        }

    def admit(self, calls: int) -> list[Ticket]:
        """Create calls that are answered and wait for their media."""
        return [self._answered_call() for _ in range(calls)]

    def _answered_call(self) -> Ticket:
        call_id, now_ms = secrets.token_hex(16), _now_ms()
        call = Call(
            call_id=call_id,
            direction=Direction.OUTBOUND,
            to="+15550123",
            from_="+15550100",
            created_at_ms=now_ms,
            changed_at_ms=now_ms,
            status=CallStatus.ANSWERED,
            leg=Leg(f"v3:{call_id}"),
            answered_at_ms=now_ms,
            stream_number=1,
        )
        self.store.create(call, CallConfig())
        # Hundreds of calls start one after the other, so the last token must live that long.
        begins_at_ms = now_ms + ADMISSION_SECONDS * 1000
        return Ticket(call_id, stream_token.issue(self.secret, call_id, 1, begins_at_ms))


@contextmanager
def database() -> Iterator[Database]:
    program = str(ROOT / "local" / "aws" / "dynamodb.py")
    command = (sys.executable, program, "--table", TABLE)
    # The database shares a core with the generator and must not delay its frames. A task of
    # SCHED_IDLE yields at once, while a nice one may finish its slice (man 7 sched).
    with _process(
        ("chrt", "--idle", "0", *command), GENERATOR_CORE, None, subprocess.PIPE
    ) as process:
        assert process.stdout is not None
        address = process.stdout.readline().decode().strip()
        client = boto3.client(
            "dynamodb",
            endpoint_url=address,
            region_name="us-east-1",
            aws_access_key_id="local",
            aws_secret_access_key="local",
        )
        store = DynamoCallStore(TABLE, client, _now_ms)
        yield Database(address, store, secrets.token_hex(32))


@dataclass(frozen=True, slots=True)
class FaultyTable:
    """A proxy in front of the database. SIGUSR1 to `pid` begins its fault."""

    address: str
    pid: int


@contextmanager
def faulty_table(table: str, fault: StoreFault) -> Iterator[FaultyTable]:
    program = (sys.executable, "-m", "benchmarks.media.faulty_table", table, fault.value)
    command = ("chrt", "--idle", "0", *program)
    with _process(command, GENERATOR_CORE, None, subprocess.PIPE) as process:
        assert process.stdout is not None
        yield FaultyTable(process.stdout.readline().decode().strip(), process.pid)


@contextmanager
def running(
    target: Target, port: int, environ: Mapping[str, str], wrapper: tuple[str, ...] = ()
) -> Iterator[int]:
    """Run a target and yield its process id. Its output goes to .build/bench-NAME.log. `wrapper`
    is a command that becomes the target."""
    LOGS.mkdir(exist_ok=True)
    command = (*wrapper, target.python, *target.argv, "--port", str(port))
    given = {**environ, **target.environ}
    with (
        (LOGS / f"bench-{target.name}.log").open("wb") as log,
        _process(command, TARGET_CORE, given, log.fileno()) as process,
    ):
        yield process.pid


def _process(
    command: tuple[str, ...], core: int, environ: Mapping[str, str] | None, output: int
) -> AbstractContextManager["subprocess.Popen[bytes]"]:
    return _ending(
        subprocess.Popen(
            ("taskset", "--cpu-list", str(core), *command),
            env=environ,
            stdout=output,
            stderr=subprocess.STDOUT if environ else None,
            start_new_session=True,
        )
    )


@contextmanager
def _ending(process: "subprocess.Popen[bytes]") -> Iterator["subprocess.Popen[bytes]"]:
    try:
        yield process
    finally:
        process.terminate()
        try:
            process.wait(STOP_SECONDS)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


def _now_ms() -> int:
    return time.time_ns() // 1_000_000
