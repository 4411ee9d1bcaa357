"""Creates the bridge of a session, and the translator of its media stream."""

from media_bridge.audio.codecs import Codec
from media_bridge.bridge import Bridge
from media_bridge.browser_bridge import BrowserBridge
from media_bridge.runtime.call_claims import ClaimedCall
from media_bridge.runtime.services import Services
from media_bridge.telnyx_stream import TelnyxStream
from phonebridge.call.call import Call
from phonebridge.call.config import CallConfig
from phonebridge.settings import ByteOrder, MediaSettings


def bridge_of(claimed: ClaimedCall, services: Services, now: float) -> Bridge:
    call, config, before, found = claimed.call, claimed.config, claimed.before, claimed.found
    kind = BrowserBridge if call.is_browser_call else Bridge
    return kind(
        call,
        before.rest_of(config) if before else config,
        services.settings.model_audio,
        now,
        claimed.greeting,
        found.clips,
        found.missing,
        before.history(config) if before else None,
    )


def stream_of(call: Call, config: CallConfig, settings: MediaSettings) -> TelnyxStream:
    is_little = call.is_browser_call  # as the samples of JavaScript's typed arrays are
    order = ByteOrder.LITTLE if is_little else settings.l16_byte_order
    return TelnyxStream(Codec[config.codec], order)
