"""The settings to check, of a local or a deployed set-up."""

from collections.abc import Mapping
from dataclasses import dataclass, field

from doctor_checks.addresses import is_local
from phonebridge.settings import DEFAULT_MODEL, DEFAULT_REALTIME_URL, DEFAULT_TELNYX_API

WEBHOOK_PATH = "/webhooks/telnyx"


@dataclass(frozen=True, slots=True)
class DoctorConfig:
    """The settings. Missing ones are empty, and each check reports its own."""

    openai_api_key: str = field(repr=False)
    openai_realtime_url: str
    openai_model: str
    openai_auth_header: str
    telnyx_api_base: str
    telnyx_api_key: str = field(repr=False)
    telnyx_public_key: str
    telnyx_connection_id: str
    telnyx_from_number: str
    base_public_url: str
    media_public_url: str

    @property
    def webhook_url(self) -> str:
        return self.base_public_url + WEBHOOK_PATH

    @property
    def is_simulated_carrier(self) -> bool:
        """Whether Telnyx is a simulator on this machine, which reaches local addresses too."""
        return is_local(self.telnyx_api_base)

    @property
    def has_reachable_url(self) -> bool:
        """Whether Telnyx could reach the webhooks at their address."""
        base = self.base_public_url
        return bool(base) and (self.is_simulated_carrier or not is_local(base))

    @staticmethod
    def from_env(environ: Mapping[str, str]) -> "DoctorConfig":
        def text(name: str, default: str = "") -> str:
            return environ.get(name, "").strip().rstrip("/") or default

        base = text("BASE_PUBLIC_URL")
        as_socket = "ws" + base.removeprefix("http") if base.startswith("http") else base
        return DoctorConfig(
            openai_api_key=text("OPENAI_API_KEY"),
            openai_realtime_url=text("OPENAI_REALTIME_URL", DEFAULT_REALTIME_URL),
            openai_model=text("OPENAI_MODEL", DEFAULT_MODEL),
            openai_auth_header=text("OPENAI_AUTH_HEADER"),
            telnyx_api_base=text("TELNYX_API_BASE", DEFAULT_TELNYX_API),
            telnyx_api_key=text("TELNYX_API_KEY"),
            telnyx_public_key=text("TELNYX_PUBLIC_KEY"),
            telnyx_connection_id=text("TELNYX_CONNECTION_ID"),
            telnyx_from_number=text("TELNYX_FROM_NUMBER"),
            base_public_url=base,
            media_public_url=text("MEDIA_PUBLIC_URL", as_socket),
        )
