"""A question about an inbound call: somebody calls the Telnyx number."""

from contextlib import AbstractAsyncContextManager

from application_webhook import WebhookNotSet
from proving.line import Line, token_of
from proving.questions import UNCLEAR, ProviderAnswer
from proving.receiver import SeenWebhook


async def ask_answer_token(
    line: Line, webhook: AbstractAsyncContextManager[None]
) -> ProviderAnswer:
    """Answer the next call with a stream and its token. Meanwhile, `webhook` leads the webhooks of
    inbound calls here."""
    try:
        async with webhook:
            call = await line.receiver.wait_for(lambda: _inbound_call(line), line.waits.inbound)
            if call is None:
                return ProviderAnswer("answer_token", "no_call")
            return await _answer(line, str(call.payload.get("call_control_id")))
    except WebhookNotSet:
        return ProviderAnswer("answer_token", UNCLEAR, "the webhook URL was not set")


def _inbound_call(line: Line) -> SeenWebhook | None:
    calls = line.receiver.of_type("call.initiated")
    return next((each for each in calls if each.payload.get("direction") == "incoming"), None)


async def _answer(line: Line, control_id: str) -> ProviderAnswer:
    reply, socket = await line.answer(control_id)
    if not reply.is_ok:
        return ProviderAnswer("answer_token", "refused", str(reply))
    answer = "no_socket"
    if socket:
        answer = socket.token_place(token_of(socket.number)) or "absent"
    await line.hang_up()
    await line.webhook("call.hangup", line.waits.news)
    line.receiver.forget_calls()
    return ProviderAnswer("answer_token", answer)
