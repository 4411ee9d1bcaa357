"""What every call of a process shares."""

from collections.abc import Callable
from dataclasses import dataclass, field

from aws_lambda_powertools import Logger

from media_bridge.runtime.hangups import Hangups
from media_bridge.runtime.metrics import WorkerMetrics
from media_bridge.runtime.model_port import SpeechModel
from media_bridge.runtime.pulse import Pulse
from media_bridge.runtime.rescues import Rescues
from media_bridge.runtime.retries import RetryPauses
from media_bridge.runtime.speech_cache import SpeechCache
from media_bridge.runtime.threads import Threads
from media_bridge.runtime.tool_runner import ToolRunner
from media_bridge.runtime.turn_writer import TurnWriter
from phonebridge.observability.tracing import Tracer
from phonebridge.settings import MediaSettings
from phonebridge.storage.call_store import DynamoCallStore
from phonebridge.switchboard import Switchboard


@dataclass(frozen=True, slots=True)
class Services:
    settings: MediaSettings
    store: DynamoCallStore
    switchboard: Switchboard
    model: SpeechModel
    log: Logger
    turn_writer: TurnWriter
    now_ms: Callable[[], int]
    tracer: Tracer
    speech_cache: SpeechCache
    tool_runner: ToolRunner
    threads: Threads
    """Threads for the writes and commands of calls. A call has at most one job at a time, so with a
    thread per slot no call waits for another."""
    metrics: WorkerMetrics
    pauses: RetryPauses
    hangups: Hangups
    rescues: Rescues
    browser_return_seconds: float = 15.0
    """The wait for another stream of a browser that has lost its socket."""
    pulse: Pulse = field(default_factory=Pulse)
    hangup_grace_seconds: float = 3.0
    """The wait after the carrier has closed a stream. Usually the caller hung up, and a webhook
    reports it."""
