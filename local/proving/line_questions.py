"""Questions about commands, webhooks and the end of a call."""

import asyncio
import uuid
from ipaddress import ip_network

from proving.line import ALREADY_OVER, Line, Reply
from proving.questions import NOT_ASKED, UNCLEAR, ProviderAnswer

PROMPT = "This is the test call of Phonebridge. Please press one."
PUBLISHED = tuple(
    ip_network(each)
    for each in (
        *("192.76.120.128/29", "192.76.120.136/29", "192.76.120.144/29", "192.76.120.192/27"),
        *("185.246.41.0/29", "185.246.41.8/29", "185.246.41.16/29"),
        *("103.115.244.0/29", "103.115.244.8/29"),
    )
)
"""Addresses of Telnyx's webhooks and media sockets (Telnyx, "Telnyx IP addresses")."""
COMMAND_ID_QUESTIONS = ("command_id_early", "silent_leg", "command_id_late")
STAY = "Thank you. Please stay on the line. The test takes about three minutes."


async def ask_dial_repeated(line: Line) -> tuple[ProviderAnswer, Reply]:
    """Dial, and repeat the dial at once, while the phone does not ring yet."""
    command_id = str(uuid.uuid4())
    first = await line.dial(command_id)
    line.control_id = str(first.data.get("call_control_id", ""))
    if not first.is_ok:
        return ProviderAnswer("dial_repeated", NOT_ASKED, f"the dial was refused: {first}"), first
    second = await line.dial(command_id)
    other_id = str(second.data.get("call_control_id", ""))
    if not second.is_ok:
        return ProviderAnswer("dial_repeated", "refused", str(second)), first
    if other_id in ("", line.control_id):
        return ProviderAnswer("dial_repeated", "same_call", str(second)), first
    line.receiver.ignore(other_id)
    line.receiver.ignore(str(second.data.get("call_leg_id", "")))
    await line.api.send("POST", f"/calls/{other_id}/actions/hangup", {})
    return ProviderAnswer("dial_repeated", "second_call"), first


async def ask_key_press(line: Line) -> ProviderAnswer:
    """The first spoken sentence also makes the webhook that is refused (`find_retries`)."""
    line.receiver.refused_type = "call.speak.ended"
    pressed = await line.key_after(lambda: line.speak(PROMPT))
    if pressed is None:
        return ProviderAnswer("key_press", "no_key")
    await line.say(STAY)
    return ProviderAnswer("key_press", "heard")


async def ask_command_ids(line: Line) -> list[ProviderAnswer]:
    """Repeat a sentence after some seconds, and after more than a minute."""
    await line.stop_streams()
    command_id = str(uuid.uuid4())
    ended = len(line.receiver.of_type("call.speak.ended"))
    first = await line.speak("Please stay on the line for one more minute.", command_id)
    if not first.is_ok:
        detail = f"the first was refused: {first}"
        return [ProviderAnswer(name, UNCLEAR, detail) for name in COMMAND_ID_QUESTIONS]
    await line.webhook("call.speak.ended", line.waits.key, after=ended)
    await line.pause(line.waits.early_repetition)
    early = await _repeat(line, command_id, "command_id_early")
    silent = await _stay_silent(line)
    if line.is_over:
        return [early, silent, ProviderAnswer("command_id_late", UNCLEAR, "the call was over")]
    return [early, silent, await _repeat(line, command_id, "command_id_late")]


async def _stay_silent(line: Line) -> ProviderAnswer:
    """Neither a stream nor the voice of the carrier reaches the person meanwhile."""
    began, seconds = asyncio.get_running_loop().time(), line.waits.late_repetition
    hangup = await line.webhook("call.hangup", seconds)
    if hangup is None:
        return ProviderAnswer("silent_leg", "stays", f"{seconds:g} s at least")
    cause = hangup.payload.get("hangup_cause", "no cause")
    return ProviderAnswer("silent_leg", "ended", f"after {hangup.at - began:.0f} s: {cause}")


async def _repeat(line: Line, command_id: str, question: str) -> ProviderAnswer:
    before = len(line.receiver.of_type("call.speak.started"))
    reply = await line.speak("This sentence is spoken again.", command_id)
    if not reply.is_ok:
        return ProviderAnswer(question, "refused", str(reply))
    started = await line.webhook("call.speak.started", line.waits.spoken, after=before)
    return ProviderAnswer(question, "executed" if started else "ignored", str(reply))


async def ask_hangup_repeated(line: Line) -> ProviderAnswer:
    await line.hang_up()
    await line.webhook("call.hangup", line.waits.news)
    reply = await line.hang_up()
    if reply.is_ok:
        return ProviderAnswer("hangup_repeated", "accepted", str(reply))
    known = reply.code == ALREADY_OVER
    return ProviderAnswer("hangup_repeated", "already_over" if known else "other", str(reply))


async def ask_lookup_after_end(line: Line) -> ProviderAnswer:
    said: list[str] = []
    details: list[str] = []
    passed = 0.0
    for after in line.waits.lookups:
        await line.pause(after - passed)
        passed = after
        reply = await line.look_up()
        said.append(_state(reply))
        details.append(f"{after:g} s: {said[-1]} ({reply})")
    if "alive" in said:
        answer = "stale"
    elif "forgotten" in said:
        answer = "forgotten"
    else:
        answer = "over" if said and set(said) == {"over"} else UNCLEAR
    return ProviderAnswer("lookup_after_end", answer, ", ".join(details))


def _state(reply: Reply) -> str:
    if reply.status in (404, 422):
        return "forgotten"
    if not reply.is_ok:
        return "no answer"
    return "alive" if reply.data.get("is_alive") else "over"


async def find_retries(line: Line) -> ProviderAnswer:
    """Look at what came of the webhook that was refused since the beginning of the call."""
    receiver = line.receiver
    refused = [each for each in receiver.webhooks if each.event_id == receiver.refused_id]
    if not refused:
        return ProviderAnswer("webhook_retries", UNCLEAR, "there was no webhook to refuse")
    loop = asyncio.get_running_loop()
    left = refused[0].at + line.waits.retries - loop.time()
    await line.pause(max(0.0, left))
    same_event = [
        each
        for each in receiver.webhooks
        if (each.event_type, each.occurred_at) == (refused[0].event_type, refused[0].occurred_at)
    ]
    if len(same_event) < 2:
        return ProviderAnswer("webhook_retries", "never")
    gaps = [
        f"{later.at - earlier.at:.1f} s"
        for earlier, later in zip(same_event, same_event[1:], strict=False)
    ]
    ids = {each.event_id for each in same_event}
    return ProviderAnswer(
        "webhook_retries", "same_id" if len(ids) == 1 else "new_id", "after " + ", ".join(gaps)
    )


async def find_rate_limit(line: Line) -> ProviderAnswer:
    """Look at the headers of the answers to all requests so far."""
    if line.api.was_too_fast:
        return ProviderAnswer("rate_limit", "reached")
    headers = ", ".join(f"{name} {value}" for name, value in sorted(line.api.rate_limit.items()))
    return ProviderAnswer("rate_limit", "shown" if headers else "hidden", headers)


async def find_source_addresses(line: Line) -> ProviderAnswer:
    """Look at where webhooks and sockets came from. The addresses are those of Telnyx."""
    public = sorted(each for each in line.receiver.sources if each.is_global)
    if not public:
        return ProviderAnswer("source_addresses", "hidden")
    unknown = [each for each in public if not any(each in known for known in PUBLISHED)]
    shown = ", ".join(str(each) for each in unknown or public)
    return ProviderAnswer("source_addresses", "others" if unknown else "published", shown)
