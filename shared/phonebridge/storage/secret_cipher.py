"""Encrypts the secrets of tools before they are stored: signing secrets, headers, and what an MCP
server is authorized with.

The table, its exports and its backups therefore contain no readable secret. The key is derived from
`STREAM_TOKEN_SECRET`, which both planes have, and which is not in the table.
"""

import base64
import hashlib
import secrets
from dataclasses import dataclass, field

from phonebridge.call.tools import Tools, map_secrets
from phonebridge.errors import NotConfigured
from phonebridge.http.signature import derive_secret

_NONCE_BYTES = 12
"""The length for AES-GCM (NIST SP 800-38D, 8.2.2). Random nonces are safe up to 2**32 values."""


@dataclass(frozen=True, slots=True)
class SecretCipher:
    """A cipher without a secret has no key. It refuses to store or read secrets."""

    secret: str = field(default="", repr=False)

    def encrypt_tools(self, tools: Tools) -> Tools:
        """Raises `NotConfigured`."""
        return map_secrets(tools, self._encrypt)

    def decrypt_tools(self, tools: Tools) -> Tools:
        """Raises `NotConfigured` for secrets that were encrypted with another key."""
        return map_secrets(tools, self._decrypt)

    def _encrypt(self, text: str) -> str:
        from cryptography.hazmat.primitives.ciphers.aead import AESGCM

        nonce = secrets.token_bytes(_NONCE_BYTES)
        sealed = AESGCM(self._key()).encrypt(nonce, text.encode(), None)
        return base64.b64encode(nonce + sealed).decode()

    def _decrypt(self, text: str) -> str:
        # Here, because most requests and webhooks have no secrets, and a cold start pays for it.
        from cryptography.exceptions import InvalidTag
        from cryptography.hazmat.primitives.ciphers.aead import AESGCM

        try:
            sealed = base64.b64decode(text, validate=True)
            nonce, rest = sealed[:_NONCE_BYTES], sealed[_NONCE_BYTES:]
            return AESGCM(self._key()).decrypt(nonce, rest, None).decode()
        except (InvalidTag, ValueError) as error:
            raise NotConfigured(
                "The secrets of the tools were stored with another STREAM_TOKEN_SECRET. "
                "Restore it, or put the agent again with its secrets."
            ) from error

    def _key(self) -> bytes:
        if not self.secret:
            raise NotConfigured("STREAM_TOKEN_SECRET not configured: it encrypts secrets of tools")
        return hashlib.sha256(derive_secret(self.secret, "stored secrets").encode()).digest()


NO_KEY = SecretCipher()
