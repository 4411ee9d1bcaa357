import hashlib
import hmac

from media_bridge.signature import derived_secret, signed


def test_whoever_shares_the_secret_can_repeat_the_signature() -> None:
    body = b'{"tool":"order"}'
    headers = signed("a secret", body, 1_795_003_300_999)
    assert headers["Phonebridge-Timestamp"] == "1795003300"
    expected = hmac.new(b"a secret", b"1795003300|" + body, hashlib.sha256).hexdigest()
    assert headers["Phonebridge-Signature"] == f"v1={expected}"


def test_a_derived_secret_does_not_give_away_what_it_comes_from() -> None:
    assert derived_secret("stream") == derived_secret("stream") != derived_secret("other")
    assert "stream" not in derived_secret("stream")
