"""The environment of the programs that are fuzzed. Nothing of it leads out of this machine."""

from phonebridge.settings import MediaSettings

SECRET = "fuzz secret"
TABLE = "calls"
ENVIRONMENT = {
    "CALLS_TABLE": TABLE,
    "BASE_PUBLIC_URL": "https://phonebridge.example",
    "MEDIA_PUBLIC_URL": "wss://media.example",
    "TELNYX_API_BASE": "https://telnyx.example/v2",
    "TELNYX_API_KEY": "KEY-fuzz",
    "TELNYX_CONNECTION_ID": "connection-1",
    "TELNYX_FROM_NUMBER": "+15550199",
    "ALLOWED_DESTINATIONS": "+1555",
    "STREAM_TOKEN_SECRET": SECRET,
    "OPENAI_API_KEY": "sk-fuzz",
    "OPENAI_REALTIME_URL": "ws://127.0.0.1:9/v1/realtime",
    "MODEL_AUDIO": "g711",
    "AWS_DEFAULT_REGION": "us-east-1",
    "AWS_ACCESS_KEY_ID": "local",
    "AWS_SECRET_ACCESS_KEY": "local",
}


def media_settings(**changes: str) -> MediaSettings:
    return MediaSettings.from_env(ENVIRONMENT | changes)
