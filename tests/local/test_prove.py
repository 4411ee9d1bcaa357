"""`make prove`: its settings, and its report."""

from pathlib import Path

import pytest

from prove import check_settings, write_report
from proving.questions import ProviderAnswer

REAL = {
    "TELNYX_API_KEY": "KEY-test",
    "TELNYX_PUBLIC_KEY": "key",
    "TELNYX_CONNECTION_ID": "42",
    "TELNYX_FROM_NUMBER": "+15550199",
    "BASE_PUBLIC_URL": "https://tunnel.example",
}


def test_it_needs_a_real_phone_and_a_public_url() -> None:
    with pytest.raises(SystemExit, match="TELNYX_API_KEY, TELNYX_PUBLIC_KEY"):
        check_settings({})
    with pytest.raises(SystemExit, match="BASE_PUBLIC_URL"):
        check_settings(REAL | {"BASE_PUBLIC_URL": "http://127.0.0.1:3000"})
    assert check_settings(REAL).media_public_url == "wss://tunnel.example"


def test_the_report_is_a_file_and_the_last_line_says_what_to_set(tmp_path: Path) -> None:
    path = tmp_path / "build" / "prove.md"
    said = write_report([ProviderAnswer("l16_order", "little", "pressed 2")], path)
    assert said == f"The report is {path}.\nSet L16_BYTE_ORDER=little."
    assert "**little**" in path.read_text()
