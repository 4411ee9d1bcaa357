"""Calls in L16 at 16 kHz, and what comes of the wrong byte order."""

from pathlib import Path

from tests.support.whole_calls import CONVERSATION, said, whole_system

HD_LINE, G711_LINE = "+15550134", "+15550142"


async def test_both_sides_of_an_hd_call_understand_each_other(tmp_path: Path) -> None:
    async with whole_system(tmp_path, {}) as system:
        record = await system.ended(await system.dialled(HD_LINE, codec="L16"))
        assert said(record) == CONVERSATION
        [phone] = system.phones(HD_LINE)
        assert phone.media.flagged == []
        assert [each.text for each in phone.conversation.recognitions] == [
            text for who, text in CONVERSATION if who == "agent"
        ]


async def test_a_carrier_that_falls_back_to_g711_is_understood(tmp_path: Path) -> None:
    async with whole_system(tmp_path, {}) as system:
        record = await system.ended(await system.dialled(G711_LINE, codec="L16"))
        assert said(record) == CONVERSATION
        assert system.phone(G711_LINE).media.flagged == []


async def test_the_wrong_byte_order_is_noise(tmp_path: Path) -> None:
    async with whole_system(tmp_path, {"L16_BYTE_ORDER": "little"}) as system:
        call_id = await system.dialled(HD_LINE, codec="L16")
        await system.streaming(call_id)
        [phone] = system.phones(HD_LINE)
        await phone.ended.wait()
        assert phone.media.flagged == ["L16 in the wrong byte order, the caller hears noise"]
        assert all(each.clip is None for each in phone.conversation.recognitions)
