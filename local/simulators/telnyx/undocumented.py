"""What Telnyx's documents leave open, with each possible answer. `make prove` asks the real one.

The defaults are what the rest of the simulator has always done.
"""

from dataclasses import dataclass
from typing import Literal

SecondStream = Literal["refused", "replaces", "both", "no_socket"]


@dataclass(frozen=True, slots=True)
class Undocumented:
    second_stream: SecondStream = "refused"
    """A `streaming_start` while a stream is open."""
    after_break: Literal["stopped", "failed", "nothing", "reconnects"] = "stopped"
    """A socket that the other side has ended."""
    start_after_break: Literal["works", "needs_stop", "never"] = "works"
    speak_beside_stream: Literal["heard", "not_heard", "never_started", "refused"] = "heard"
    l16_order: Literal["big", "little"] = "big"
    accepts_l16_24k: bool = True
    timestamp_step: int = 20
    """The growth of `media.timestamp` with each frame of 20 ms."""
    sends_silence: bool = True
    """Whether frames come while the person says nothing."""
    accepts_short_chunks: bool = True
    has_stream_id_in_started: bool = False
    dial_repeated: Literal["same_call", "second_call", "refused"] = "same_call"
    command_id_window_seconds: float = 60.0
    refuses_used_command_id: bool = False
    after_hangup: Literal["already_over", "accepted", "other"] = "already_over"
    lookup_after_end: Literal["over", "forgotten", "stale"] = "over"
    answer_has_token: Literal["absent", "header"] = "absent"
    """Whether the socket of an `answer` with a stream gets its `stream_auth_token`."""
    silent_leg_ends_after_ms: int | None = None
    """A leg ends that has had neither a stream nor the carrier's voice for so long."""
    tells_rate_limit: bool = False
    webhook_retries: Literal["same_id", "new_id", "never"] = "same_id"


DEFAULT = Undocumented()
