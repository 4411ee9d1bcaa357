"""What is stored, by its names: changing one of these changes what stored items mean.

An attribute that equals its default is not stored (`table.py`), so a default is stored too. Only
add fields, with a default under which older items keep their meaning.
"""

import json
from dataclasses import MISSING, fields
from enum import StrEnum
from typing import Any, get_args

import msgspec
import pytest

from control_plane.agent_directory import Agent, Assignment
from control_plane.recordings import CopyRecording
from phonebridge.call.call import (
    AskedAt,
    Call,
    CallStatus,
    Direction,
    EndedBy,
    Fault,
    Hangup,
    Keys,
    Leg,
    Outcome,
)
from phonebridge.call.config import (
    BrowserEvent,
    CallConfig,
    Fallback,
    StreamSetup,
    Transcription,
    TurnDetection,
)
from phonebridge.call.machine_detection import (
    AnsweredBy,
    Detection,
    MachineDetection,
    Method,
    OnMachine,
)
from phonebridge.call.recording import Recording, RecordingState, SavedRecording
from phonebridge.call.resume import PastToolCall, Resume
from phonebridge.call.steering import (
    Answered,
    EndCallNow,
    Interrupt,
    MachineAnswered,
    Mute,
    Say,
    SayGoodbye,
    Side,
    StartTransfer,
    Steering,
    TransferFinished,
    Update,
)
from phonebridge.call.tools import BuiltIn, Destination, HttpsFunction, McpServer, Message, Tools
from phonebridge.call.transfer import TransferAttempt
from phonebridge.call.turn import Latency, Speaker, Turn
from phonebridge.call.usage import Activity, Charge, ModelUsage, Usage
from phonebridge.call.webhook_delivery import WebhookDelivery, WebhookDeliveryState
from phonebridge.outcomes import SendOutcome
from phonebridge.ports import TimelineEntry
from phonebridge.storage import call_store
from phonebridge.storage.call_items import (
    StoredClaim,
    StoredConfig,
    StoredLink,
    StoredResume,
    TransferClaim,
)
from phonebridge.storage.fleet import TaskState, _Reservation, _SweepWatch, _TaskCalls
from phonebridge.storage.mailbox import _StoredCommand
from phonebridge.storage.turn_items import StoredTurns

REQUIRED = "<required>"

# Sort keys begin with these.
PARTS = {
    "META": Call,
    "CONFIG": StoredConfig,
    "RESUME": StoredResume,
    "TURNS": StoredTurns,
    "EV": TimelineEntry,
    "MESSAGE": Message,
    "USAGE": ModelUsage,
    "CHARGE": Charge,
    "RECORDING": Recording,
    "NOTICE": WebhookDelivery,
}

# A command in a mailbox is stored under the name of its class.
STEERING = {
    "Interrupt",
    "Say",
    "Update",
    "Mute",
    "StartTransfer",
    "SayGoodbye",
    "Answered",
    "MachineAnswered",
    "TransferFinished",
    "EndCallNow",
}

STORED: dict[type, dict[str, Any]] = {
    Call: {
        "call_id": REQUIRED,
        "direction": REQUIRED,
        "to": REQUIRED,
        "from_": REQUIRED,
        "created_at_ms": REQUIRED,
        "placed_by": "",
        "has_own_webhook": False,
        "changed_at_ms": 0,
        "status": "created",
        "version": 0,
        "leg": None,
        "answered_at_ms": None,
        "is_answer_estimated": False,
        "streaming_at_ms": None,
        "ended_at_ms": None,
        "outcome": None,
        "reason": None,
        "fault": None,
        "hangup": None,
        "end_requested_by": None,
        "end_requested_at_ms": None,
        "has_early_stream": False,
        "stream_number": 0,
        "attached_stream": 0,
        "attached_at_ms": 0,
        "carried_streams": 0,
        "lost_stream": 0,
        "left_stream": 0,
        "closing_stream": 0,
        "closed_stream": 0,
        "parked_stream": 0,
        "last_stream": 0,
        "announced_stream": 0,
        "given_up_stream": 0,
        "spoken_stream": 0,
        "transfer": None,
        "transferred_at_ms": None,
        "detection": None,
        "keys": None,
        "owner_task": None,
        "asked_at": {
            "leg_ms": 0,
            "stream_ms": 0,
            "target_ms": 0,
            "keys_ms": 0,
            "transfer_report_ms": 0,
            "machine_report_ms": 0,
        },
    },
    StoredConfig: {"json": REQUIRED},
    StoredResume: {"json": REQUIRED},
    Resume: {
        "tool_calls": [],
        "cut_off_words": "",
        "is_reply_owed": False,
        "is_muted": False,
        "is_caller_muted": False,
    },
    PastToolCall: {
        "call_id": REQUIRED,
        "name": REQUIRED,
        "arguments": REQUIRED,
        "output": REQUIRED,
        "after_turn": REQUIRED,
    },
    StoredTurns: {"json": REQUIRED},
    Turn: {
        "number": REQUIRED,
        "who": REQUIRED,
        "text": REQUIRED,
        "started_ms": REQUIRED,
        "ended_ms": REQUIRED,
        "interrupted": False,
        "unheard": "",
        "partial": False,
        "latency": None,
        "stream_number": 1,
    },
    TimelineEntry: {"at_ms": REQUIRED, "entry_id": REQUIRED, "what": REQUIRED, "detail": ""},
    Message: {
        "number": REQUIRED,
        "text": REQUIRED,
        "name": "",
        "phone": "",
        "taken_ms": 0,
        "stream_number": 1,
    },
    ModelUsage: {
        "stream_number": REQUIRED,
        "model": REQUIRED,
        "transcription_model": REQUIRED,
        "usage": REQUIRED,
        "activity": {
            "turns": 0,
            "interruptions": 0,
            "frames_in": 0,
            "frames_out": 0,
            "frames_lost": 0,
            "first_audio_ms": None,
            "turn_latency_ms": None,
        },
    },
    Charge: {"leg_id": REQUIRED, "micros": REQUIRED, "currency": REQUIRED},
    Recording: {
        "recording_id": REQUIRED,
        "format": REQUIRED,
        "channels": REQUIRED,
        "key": REQUIRED,
        "duration_ms": None,
        "state": "copying",
        "size_bytes": None,
        "problem": "",
    },
    WebhookDelivery: {
        "event_id": REQUIRED,
        "state": "waiting",
        "attempts": 0,
        "changed_at_ms": 0,
        "problem": "",
        "job": "",
    },
    Interrupt: {},
    Say: {"words": None, "instruction": None, "interrupt": False},
    Update: {"instructions": None, "voice": None, "turn_detection": None, "tools": None},
    Mute: {"side": REQUIRED, "muted": REQUIRED},
    StartTransfer: {"to": REQUIRED, "from_": "", "summary": "", "words": None},
    SayGoodbye: {"words": REQUIRED},
    Answered: {},
    MachineAnswered: {"greeting_over": REQUIRED},
    TransferFinished: {"failure": REQUIRED},
    EndCallNow: {},
    _StoredCommand: {"call_id": REQUIRED, "command": REQUIRED, "arguments": REQUIRED},
    TaskState: {
        "task_id": REQUIRED,
        "version": REQUIRED,
        "slots": REQUIRED,
        "active_calls": REQUIRED,
        "draining": REQUIRED,
        "list_version": 0,
        "is_over": False,
    },
    _TaskCalls: {"version": REQUIRED, "call_keys": REQUIRED},
    _SweepWatch: {"json": REQUIRED},
    _Reservation: {},
    StoredLink: {"call_id": REQUIRED},
    StoredClaim: {"call_id": REQUIRED, "fingerprint": REQUIRED},
    TransferClaim: {},
    Agent: {"name": REQUIRED, "overrides": REQUIRED, "changed_at_ms": REQUIRED},
    Assignment: {"number": REQUIRED, "agent": REQUIRED, "changed_at_ms": REQUIRED},
    CopyRecording: {"call_id": REQUIRED, "saved": REQUIRED, "announced_at_ms": REQUIRED},
    SendOutcome: {"call_id": REQUIRED, "job": ""},
    Activity: {
        "turns": 0,
        "interruptions": 0,
        "frames_in": 0,
        "frames_out": 0,
        "frames_lost": 0,
        "first_audio_ms": None,
        "turn_latency_ms": None,
    },
    Usage: {
        "input_text": 0,
        "input_audio": 0,
        "cached_text": 0,
        "cached_audio": 0,
        "output_text": 0,
        "output_audio": 0,
        "responses": 0,
        "uncounted": 0,
        "cache_unknown": 0,
        "transcribed_input": 0,
        "transcribed_output": 0,
        "transcribed_ms": 0,
    },
    CallConfig: {
        "agent": None,
        "instructions": (
            "You are a helpful assistant on the phone. Speak naturally, in short "
            "sentences, and ask when something is unclear."
        ),
        "model": None,
        "voice": "marin",
        "speed": None,
        "greeting": None,
        "language": None,
        "temperature": None,
        "turn_detection": {
            "type": "server_vad",
            "threshold": 0.5,
            "prefix_padding_ms": 300,
            "silence_duration_ms": 500,
            "idle_timeout_ms": None,
            "eagerness": "auto",
            "create_response": True,
            "interrupt_response": False,
        },
        "noise_reduction": "near_field",
        "noise_reduction_strength": None,
        "transcription": {"model": "gpt-transcribe", "prompt": None, "keywords": []},
        "reasoning_effort": None,
        "max_output_tokens": None,
        "max_duration_seconds": 1800,
        "idle_timeout_seconds": None,
        "idle_prompts": 2,
        "barge_in_min_ms": 0,
        "codec": "PCMU",
        "machine_detection": None,
        "record": False,
        "record_dtmf": True,
        "tools": {"functions": [], "mcp_servers": [], "built_in": [], "destinations": []},
        "stream_setup": "on_answer",
        "fallback": None,
        "webhook_url": None,
        "metadata": {},
        "events": [],
    },
    SavedRecording: {
        "recording_id": REQUIRED,
        "format": REQUIRED,
        "channels": REQUIRED,
        "url": REQUIRED,
        "duration_ms": None,
    },
    Fallback: {"say": None, "transfer_to": None},
    Leg: {"call_control_id": REQUIRED, "call_leg_id": "", "call_session_id": ""},
    Fault: {"reason": REQUIRED, "detail": REQUIRED, "at_ms": REQUIRED},
    Hangup: {"cause": REQUIRED, "source": REQUIRED, "at_ms": REQUIRED},
    Keys: {
        "number": REQUIRED,
        "digits": REQUIRED,
        "duration_ms": REQUIRED,
        "request_id": "",
        "settled": False,
    },
    AskedAt: {
        "leg_ms": 0,
        "stream_ms": 0,
        "target_ms": 0,
        "keys_ms": 0,
        "transfer_report_ms": 0,
        "machine_report_ms": 0,
    },
    TransferAttempt: {
        "number": REQUIRED,
        "to": REQUIRED,
        "from_": "",
        "summary": "",
        "target": "",
        "answered": False,
        "speaking": False,
        "briefed": False,
        "target_ended": False,
        "end": "",
    },
    Detection: {"on_machine": "continue", "answered_by": None, "greeting_over": False},
    Latency: {
        "response_ms": REQUIRED,
        "model_ms": REQUIRED,
        "bridge_ms": REQUIRED,
        "detector_ms": None,
    },
    TurnDetection: {
        "type": "server_vad",
        "threshold": 0.5,
        "prefix_padding_ms": 300,
        "silence_duration_ms": 500,
        "idle_timeout_ms": None,
        "eagerness": "auto",
        "create_response": True,
        "interrupt_response": False,
    },
    Tools: {"functions": [], "mcp_servers": [], "built_in": [], "destinations": []},
    Transcription: {"model": "gpt-transcribe", "prompt": None, "keywords": []},
    MachineDetection: {"mode": REQUIRED, "message": None, "method": "premium"},
    HttpsFunction: {
        "name": REQUIRED,
        "url": REQUIRED,
        "description": "",
        "parameters": '{"type":"object","properties":{}}',
        "timeout_seconds": 10.0,
        "idempotent": False,
        "filler": None,
        "headers": {},
        "secret": None,
    },
    McpServer: {
        "label": REQUIRED,
        "url": REQUIRED,
        "authorization": None,
        "headers": {},
        "allowed_tools": None,
    },
    Destination: {"name": REQUIRED, "to": REQUIRED, "warm": False},
}

VALUES: dict[type[StrEnum], set[str]] = {
    Direction: {"inbound", "outbound", "browser"},
    CallStatus: {"created", "dialing", "incoming", "answered", "streaming", "transferred", "ended"},
    Speaker: {"caller", "agent"},
    RecordingState: {"copying", "kept", "lost"},
    WebhookDeliveryState: {"waiting", "delivered", "given_up"},
    Side: {"agent", "caller"},
    Outcome: {"completed", "no_answer", "busy", "rejected", "voicemail", "canceled", "failed"},
    EndedBy: {
        "ended_by_api",
        "idle",
        "ended_by_agent",
        "max_duration",
        "message_left",
        "unknown_number",
        "shutdown",
        "caller_hung_up",
        "browser_lost",
        "browser_never_connected",
        "unknown",
    },
    BrowserEvent: {"transcript", "state", "latency", "tool"},
    StreamSetup: {"on_answer", "with_dial", "prepared"},
    OnMachine: {"hang_up", "leave_message", "continue"},
    AnsweredBy: {"not_sure", "human", "machine", "fax"},
    BuiltIn: {"end_call", "transfer_call", "send_dtmf", "take_message"},
    Method: {"premium", "standard"},
}


def stored_default(field: Any) -> Any:
    if field.default is not MISSING:
        return json.loads(msgspec.json.encode(field.default))
    if field.default_factory is not MISSING:
        return json.loads(msgspec.json.encode(field.default_factory()))
    return REQUIRED


@pytest.mark.parametrize("kind", STORED, ids=lambda kind: kind.__name__)
def test_stored_names_and_defaults_never_change(kind: Any) -> None:
    now = {field.name: stored_default(field) for field in fields(kind)}
    assert now == STORED[kind]


@pytest.mark.parametrize("kind", VALUES, ids=lambda kind: kind.__name__)
def test_stored_values_never_change(kind: type[StrEnum]) -> None:
    assert {member.value for member in kind} == VALUES[kind]


def test_commands_in_a_mailbox_keep_their_names() -> None:
    assert {kind.__name__ for kind in get_args(Steering)} == STEERING


def test_sort_keys_of_a_record_keep_their_names() -> None:
    assert call_store._PARTS == PARTS
