import hashlib
import hmac
import re
from pathlib import Path
from typing import Any

from phonebridge.http.signature import derive_secret, sign

MANUAL = Path(__file__).resolve().parents[3] / "docs" / "tools.md"


def test_whoever_shares_the_secret_can_repeat_the_signature() -> None:
    body = b'{"tool":"order"}'
    headers = sign("a secret", body, 1_795_003_300_999)
    assert headers["Phonebridge-Timestamp"] == "1795003300"
    expected = hmac.new(b"a secret", b"1795003300|" + body, hashlib.sha256).hexdigest()
    assert headers["Phonebridge-Signature"] == f"v1={expected}"


def test_a_derived_secret_does_not_give_away_what_it_comes_from() -> None:
    derived = derive_secret("stream", "tools")
    assert derived == derive_secret("stream", "tools")
    assert derived not in (derive_secret("other", "tools"), derive_secret("stream", "outcomes"))
    assert "stream" not in derived


def test_the_server_of_the_manual_knows_us_from_others() -> None:
    [server] = re.findall(r"```python\n(.*?)```", MANUAL.read_text(), re.DOTALL)
    names: dict[str, Any] = {"__name__": "a server"}
    exec(server, names)
    is_ours, body, at = names["is_from_phonebridge"], b"{}", 1_795_003_300
    headers = sign(names["SECRET"].decode(), body, at * 1000)
    assert is_ours(headers, body, at + 299.0)
    assert not is_ours(headers, body, at + 301.0)
    assert not is_ours(headers, b"{ }", at)
    assert not is_ours(headers | {"Phonebridge-Timestamp": str(at + 1)}, body, at)
    assert not is_ours(headers | {"Phonebridge-Timestamp": "²"}, body, at)
    assert not is_ours(headers | {"Phonebridge-Signature": "v1=é"}, body, at)
    assert not is_ours({}, body, at)
