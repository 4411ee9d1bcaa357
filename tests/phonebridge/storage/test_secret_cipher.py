"""Secrets of tools, encrypted and read again."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from phonebridge.call.tools import HttpsFunction, McpServer, Tools
from phonebridge.errors import NotConfigured
from phonebridge.storage.secret_cipher import SecretCipher

CIPHER = SecretCipher("secret of the stack")
# DynamoDB stores no lone surrogates, and no header has any.
texts = st.text(st.characters(exclude_categories=["Cs"]), max_size=40)
headers = st.dictionaries(st.sampled_from(["X-A", "X-B"]), texts)
functions = st.builds(
    HttpsFunction,
    name=st.just("look_up"),
    url=st.just("https://tools.example"),
    headers=headers,
    secret=st.none() | texts,
)
servers = st.builds(
    McpServer,
    label=st.just("calendar"),
    url=st.just("https://mcp.example"),
    headers=headers,
    authorization=st.none() | texts,
)
every_tools = st.builds(
    Tools, functions=st.tuples(functions) | st.just(()), mcp_servers=st.tuples(servers)
)


@given(every_tools)
def test_what_was_encrypted_is_read_again(tools: Tools) -> None:
    assert CIPHER.decrypt_tools(CIPHER.encrypt_tools(tools)) == tools


def tools_with(secret: str) -> Tools:
    return Tools(functions=(HttpsFunction(name="a", url="https://a.example", secret=secret),))


def test_the_same_secret_looks_different_each_time() -> None:
    encrypted = [CIPHER.encrypt_tools(tools_with("hush")) for _ in range(2)]
    assert encrypted[0] != encrypted[1]
    assert "hush" not in str([each.functions[0].secret for each in encrypted])


@pytest.mark.parametrize("stored", ["hush", "", "AAAA", "A" * 60, "ü" * 40])
def test_what_this_key_did_not_encrypt_is_refused(stored: str) -> None:
    encrypted = CIPHER.encrypt_tools(tools_with("hush"))
    with pytest.raises(NotConfigured, match="another STREAM_TOKEN_SECRET"):
        SecretCipher("another").decrypt_tools(encrypted)
    if stored:
        with pytest.raises(NotConfigured, match="another STREAM_TOKEN_SECRET"):
            CIPHER.decrypt_tools(tools_with(stored))


def test_without_a_key_no_secret_is_stored() -> None:
    assert SecretCipher().encrypt_tools(Tools()) == Tools()
    with pytest.raises(NotConfigured, match="STREAM_TOKEN_SECRET not configured"):
        SecretCipher().encrypt_tools(tools_with("hush"))
