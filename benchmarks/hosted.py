"""Published list prices of hosted platforms, each with what it covers, its page and its day.

The counterpart of what cost.py computes. A platform whose price was not found is not here.
"""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Published:
    platform: str
    least: float
    """Dollars per minute, pay as you go or the smallest plan that has no cap."""
    most: float
    covers: str
    besides: str
    """What the platform's customer pays on top."""
    page: str
    day: str
    quoted: bool = True
    """Read in somebody's dated record of the page; otherwise in a copy of the page itself."""


PUBLISHED = (
    Published(
        "OpenAI, SIP connector",
        0.0,
        0.0,
        "inbound SIP to the model: no charge for connections and bandwidth",
        "model, SIP trunk, your server for webhooks and tools",
        "developers.openai.com/api/docs/guides/realtime-costs",
        "2026-11-25",
        quoted=False,
    ),
    Published(
        "LiveKit Cloud",
        0.01,
        0.01,
        "hosting of your agent, beyond what a plan from 50 a month includes",
        "SIP trunk's minutes (0.004), carrier, models",
        "livekit.com/pricing",
        "2026-09-25",
    ),
    Published(
        "Pipecat Cloud",
        0.01,
        0.01,
        "hosting of your agent, smallest profile, active minutes",
        "transport, carrier, models",
        "daily.co/pricing/pipecat-cloud",
        "2026-09-30",
    ),
    Published(
        "Vapi",
        0.05,
        0.05,
        "orchestration",
        "speech to text, model, text to speech, carrier, all at cost",
        "vapi.ai/pricing",
        "2026-09-30",
    ),
    Published(
        "Telnyx AI Assistants",
        0.05,
        0.05,
        "orchestration, speech to text, text to speech",
        "model (0.0064 in Telnyx's example), carrier (0.0032)",
        "telnyx.com/pricing/voice-ai-agents",
        "2026-09-30",
    ),
    Published(
        "Ultravox",
        0.05,
        0.05,
        "orchestration and its own speech model",
        "SIP (0.005), carrier",
        "ultravox.ai/pricing",
        "2026-09-20",
    ),
    Published(
        "Twilio ConversationRelay",
        0.07,
        0.07,
        "speech to text, text to speech, the socket to your server",
        "carrier (0.0085 inbound), model, your server",
        "twilio.com/en-us/products/conversational-ai/pricing",
        "2026-09-30",
    ),
    Published(
        "Retell AI",
        0.07,
        0.31,
        "orchestration (0.055 of it), text to speech, model",
        "carrier (0.015)",
        "retellai.com/pricing",
        "2026-09-20",
    ),
    Published(
        "ElevenLabs Agents",
        0.08,
        0.08,
        "orchestration, speech to text, text to speech, beyond a plan's minutes",
        "model, carrier, at cost",
        "elevenlabs.io/pricing/agents",
        "2026-09-30",
    ),
    Published(
        "Agora Conversational AI",
        0.10,
        0.10,
        "speech to text, model, text to speech",
        "carrier",
        "docs.agora.io/en/ai/reference/pricing",
        "2026-11-25",
        quoted=False,
    ),
    Published(
        "Bland AI",
        0.11,
        0.14,
        "the agent; with its models, by others' records, which differ on the carrier",
        "a plan: 0 a month at the highest price, 499 at the lowest",
        "docs.bland.ai/platform/billing",
        "2026-11-25",
        quoted=False,
    ),
)

NOTE = """\
In brackets: dollars per minute, or per month. Not alike: read what each covers before its price.
Dates marked * are those of a dated record by others of that page, the rest of a copy of the page.
Prices change monthly in this trade; open the page before you rely on one. Plans, free minutes and
discounts are left out, and so are platforms that publish no price.
"""


def rows() -> list[str]:
    return [_row(each) for each in PUBLISHED]


def _row(of: Published) -> str:
    day = f"{of.day}*" if of.quoted else of.day
    return (
        f"| {of.platform} | {_thousand(of)} | {of.covers} | {of.besides} |"
        f" [{of.page.partition('/')[0]}](https://{of.page}), {day} |\n"
    )


def _thousand(of: Published) -> str:
    least, most = f"{1000 * of.least:.0f}", f"{1000 * of.most:.0f}"
    return least if least == most else f"{least}-{most}"
