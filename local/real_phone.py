"""The settings that a real phone needs."""

from collections.abc import Mapping
from urllib.parse import urlsplit

from aws.gateway import LOOPBACK_NAMES

REAL_PHONE = (
    "TELNYX_API_KEY",
    "TELNYX_PUBLIC_KEY",
    "TELNYX_CONNECTION_ID",
    "TELNYX_FROM_NUMBER",
    "BASE_PUBLIC_URL",
)
"""Settings without which no call reaches a real phone."""


def missing_for_real_phone(given: Mapping[str, str]) -> list[str]:
    """Return the settings that a real phone still needs. A loopback address counts as missing,
    because Telnyx cannot reach it."""
    missing = [name for name in REAL_PHONE if not given.get(name)]
    if urlsplit(given.get("BASE_PUBLIC_URL", "")).hostname in LOOPBACK_NAMES:
        missing.append("BASE_PUBLIC_URL (Telnyx cannot reach this machine's own address)")
    return missing
