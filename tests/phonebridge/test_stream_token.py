import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from phonebridge import stream_token
from phonebridge.errors import InvalidToken

NOW_MS = 1_795_000_000_000
SECRET = "test-secret"
TOKEN = stream_token.issue(SECRET, "call-1", 3, NOW_MS)


def test_a_token_opens_its_stream() -> None:
    assert stream_token.verify(SECRET, TOKEN, "call-1", NOW_MS) == 3


def test_a_token_opens_nothing_else() -> None:
    with pytest.raises(InvalidToken, match="not issued for this call"):
        stream_token.verify(SECRET, TOKEN, "call-2", NOW_MS)
    with pytest.raises(InvalidToken, match="not issued for this call"):
        stream_token.verify("other-secret", TOKEN, "call-1", NOW_MS)


def test_a_token_lasts_long_enough_to_open_a_socket_and_no_longer() -> None:
    last_ms = NOW_MS + stream_token.LIFETIME_SECONDS * 1000
    assert stream_token.verify(SECRET, TOKEN, "call-1", last_ms) == 3
    with pytest.raises(InvalidToken, match="expired"):
        stream_token.verify(SECRET, TOKEN, "call-1", last_ms + 1)


@given(st.integers(0, len(TOKEN) - 1), st.characters(exclude_categories=[]))
def test_a_token_with_one_other_character_is_refused(position: int, character: str) -> None:
    forged = TOKEN[:position] + character + TOKEN[position + 1 :]
    assume(forged != TOKEN)
    with pytest.raises(InvalidToken):
        stream_token.verify(SECRET, forged, "call-1", NOW_MS)


@given(st.text(st.characters(exclude_categories=[])))
def test_what_is_no_token_is_refused(text: str) -> None:
    with pytest.raises(InvalidToken):
        stream_token.verify(SECRET, text, "call-1", NOW_MS)


@pytest.mark.parametrize(
    "text", ["", ".", "..", "3", "3.9999999999", "3.9999999999.", "³.1.x", "3.1.\udcff"]
)
def test_a_part_of_a_token_is_refused(text: str) -> None:
    with pytest.raises(InvalidToken):
        stream_token.verify(SECRET, text, "call-1", NOW_MS)


@given(st.text(min_size=1), st.integers(1, 1_000), st.integers(0, 4_000_000_000_000))
def test_whatever_was_issued_is_accepted(call_id: str, number: int, now_ms: int) -> None:
    token = stream_token.issue(SECRET, call_id, number, now_ms)
    assert stream_token.verify(SECRET, token, call_id, now_ms) == number
