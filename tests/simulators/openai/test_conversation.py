import pytest

from simulators.openai.conversation import Entry, ModelConversation, Truncation
from simulators.openai.requests import Refusal
from simulators.openai.wire import Content, ConversationMessage, FunctionCall


def caller(item_id: str, audio_ms: float = 0.0) -> Entry:
    content = [Content("input_audio", transcript=None)]
    return Entry(ConversationMessage(id=item_id, role="user", content=content), audio_ms=audio_ms)


def agent(item_id: str, audio_ms: float = 0.0) -> Entry:
    content = [Content("output_audio", transcript="Good morning, how can I help?")]
    message = ConversationMessage(id=item_id, role="assistant", content=content)
    return Entry(message, is_agent_audio=True, audio_ms=audio_ms)


@pytest.fixture
def conversation() -> ModelConversation:
    return ModelConversation("conv_1", [agent("greeting", 1500), caller("question", 2000)])


def test_items_stand_where_they_are_put(conversation: ModelConversation) -> None:
    assert conversation.add(caller("last")) == "question"
    assert conversation.add(caller("first"), "root") is None
    assert conversation.add(caller("second"), "greeting") == "greeting"
    order = [entry.item.id for entry in conversation.entries]
    assert order == ["first", "greeting", "second", "question", "last"]
    assert conversation.last_caller_turn is conversation.find("last")


def test_an_unknown_place_or_a_known_id_is_refused(conversation: ModelConversation) -> None:
    for item_id, after, param in (
        ("new", "nowhere", "previous_item_id"),
        ("greeting", None, "item.id"),
    ):
        with pytest.raises(Refusal) as refusal:
            conversation.add(caller(item_id), after)
        assert refusal.value.param == param
    assert len(conversation.entries) == 2


def test_truncation_shortens_the_sound_and_forgets_the_words(
    conversation: ModelConversation,
) -> None:
    assert conversation.truncate("greeting", 0, 600) == Truncation("greeting", 600, 1500)
    entry = conversation.get("greeting")
    assert isinstance(entry.item, ConversationMessage)
    assert entry.item.content == [Content("output_audio")]
    with pytest.raises(Refusal) as refusal:
        conversation.truncate("greeting", 0, 601)
    assert refusal.value.message == "Audio content of 600ms is already shorter than 601ms"
    assert conversation.truncate("greeting", 0, 0).sent_ms == 600


def test_only_what_the_agent_spoke_can_be_truncated(conversation: ModelConversation) -> None:
    conversation.add(Entry(FunctionCall(id="call", name="end_call", arguments="{}")))
    for item_id, code in (
        ("question", "invalid_value"),
        ("call", "invalid_value"),
        ("nobody", "item_truncate_invalid_item_id"),
    ):
        with pytest.raises(Refusal) as refusal:
            conversation.truncate(item_id, 0, 0)
        assert refusal.value.code == code


def test_all_that_went_before_is_paid_again_at_the_cached_price(
    conversation: ModelConversation,
) -> None:
    for _ in range(2):
        usage = conversation.usage("x" * 800, conversation.entries, [agent("answer", 1000)])
    details = usage.input_token_details
    assert (details.text_tokens, details.audio_tokens) == (200 + 8, 1500 / 50 + 2000 / 100)
    assert details.cached_tokens_details.text_tokens == 192
    assert details.cached_tokens == 192
    assert usage.output_token_details.audio_tokens == 1000 / 50
    assert usage.total_tokens == usage.input_tokens + usage.output_tokens
