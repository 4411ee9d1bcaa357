"""The items of a call in the table: their keys, and values that are stored as text."""

from dataclasses import dataclass, replace
from hashlib import sha256

import msgspec

from phonebridge.call.call import Leg
from phonebridge.call.config import CallConfig
from phonebridge.call.resume import Resume
from phonebridge.errors import TooLarge
from phonebridge.storage.table import ItemKey

CONFIG_BYTES_MAX = 65_536
RESUME_BYTES_MAX = 8_192


@dataclass(frozen=True, slots=True)
class StoredConfig:
    json: str


@dataclass(frozen=True, slots=True)
class StoredLink:
    call_id: str


@dataclass(frozen=True, slots=True)
class StoredClaim:
    call_id: str
    fingerprint: str


@dataclass(frozen=True, slots=True)
class TransferClaim:
    """A claimed transfer. The item has only its key."""


@dataclass(frozen=True, slots=True)
class StoredResume:
    json: str

    @classmethod
    def of(cls, resume: Resume) -> "StoredResume":
        """Return the item for storage. The oldest tool calls are left out until the rest fits."""
        json = msgspec.json.encode(resume)
        while len(json) > RESUME_BYTES_MAX and resume.tool_calls:
            resume = replace(resume, tool_calls=resume.tool_calls[1:])
            json = msgspec.json.encode(resume)
        return cls(json.decode())

    @property
    def resume(self) -> Resume:
        return msgspec.json.decode(self.json, type=Resume)


def partition_key(call_id: str) -> str:
    return f"CALL#{call_id}"


def head_key(call_id: str) -> ItemKey:
    return ItemKey(partition_key(call_id), "META")


def recording_key(call_id: str, recording_id: str) -> ItemKey:
    return ItemKey(partition_key(call_id), f"RECORDING#{recording_id}")


def notice_key(call_id: str) -> ItemKey:
    return ItemKey(partition_key(call_id), "NOTICE")


def resume_key(call_id: str) -> ItemKey:
    return ItemKey(partition_key(call_id), "RESUME")


def config_key(call_id: str) -> ItemKey:
    return ItemKey(partition_key(call_id), "CONFIG")


def claim_key(key: str) -> ItemKey:
    return ItemKey(f"IDEM#{sha256(key.encode()).hexdigest()}", "REQ")


def encode_config(config: CallConfig) -> str:
    """Encode the settings as they are stored. Raises `TooLarge`."""
    json = msgspec.json.encode(config)
    if len(json) > CONFIG_BYTES_MAX:
        raise TooLarge(
            f"The settings of a call may take {CONFIG_BYTES_MAX} bytes; these take {len(json)}."
        )
    return json.decode()


def decode_config(stored: StoredConfig) -> CallConfig:
    return msgspec.json.decode(stored.json, type=CallConfig)


def leg_keys(leg: Leg) -> list[ItemKey]:
    """Return the keys that find a leg. The session is none of them, because the target of a
    transfer shares it."""
    ids = (leg.call_control_id, leg.call_leg_id)
    return [ItemKey(f"LEG#{leg_id}", "CALL") for leg_id in ids if leg_id]


def session_key(leg: Leg) -> ItemKey:
    return ItemKey(f"LEG#{leg.call_session_id}", "SESSION")
