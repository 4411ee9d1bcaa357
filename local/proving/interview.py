"""The order of the questions: one call, in which the person is kept for some minutes."""

from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import suppress

import httpx

from proving.line import Line
from proving.line_questions import (
    COMMAND_ID_QUESTIONS,
    ask_command_ids,
    ask_dial_repeated,
    ask_hangup_repeated,
    ask_key_press,
    ask_lookup_after_end,
    find_rate_limit,
    find_retries,
    find_source_addresses,
)
from proving.questions import NOT_ASKED, UNCLEAR, ProviderAnswer
from proving.sound_questions import ask_about_frames, ask_l16, ask_l16_24k, ask_short_chunks
from proving.stream_questions import (
    ask_closed_socket,
    ask_dropped_socket,
    ask_second_stream,
    ask_speak_beside_stream,
    ask_start_after_drop,
    ask_stop_then_start,
    ask_stream_id_in_started,
)

Ask = Callable[[Line], Awaitable[ProviderAnswer | list[ProviderAnswer]]]

ON_THE_LINE: tuple[tuple[tuple[str, ...], Ask], ...] = (
    (("stream_id_in_started",), ask_stream_id_in_started),
    (("timestamp_unit", "frame_length", "frames_in_silence"), ask_about_frames),
    (("short_chunks",), ask_short_chunks),
    (("speak_beside_stream",), ask_speak_beside_stream),
    (("second_stream",), ask_second_stream),
    (("stop_then_start",), ask_stop_then_start),
    (("dropped_socket",), ask_dropped_socket),
    (("start_after_drop",), ask_start_after_drop),
    (("closed_socket",), ask_closed_socket),
    (("l16_24k",), ask_l16_24k),
    (("l16_order", "l16_order_received"), ask_l16),
    (COMMAND_ID_QUESTIONS, ask_command_ids),
    (("hangup_repeated",), ask_hangup_repeated),
)
"""The questions in the order in which they are asked. A broken stream comes after a whole one."""
AFTER_THE_END: tuple[tuple[tuple[str, ...], Ask], ...] = (
    (("source_addresses",), find_source_addresses),
    (("webhook_retries",), find_retries),
    (("lookup_after_end",), ask_lookup_after_end),
    (("rate_limit",), find_rate_limit),
)


async def interview(line: Line) -> AsyncIterator[ProviderAnswer]:
    """Place the call, and ask one question after the other. Ends the call in any case."""
    try:
        finding, dialled = await ask_dial_repeated(line)
    except httpx.HTTPError as error:
        yield ProviderAnswer("dial_repeated", UNCLEAR, type(error).__name__)
        return
    yield finding
    if not dialled.is_ok:
        return
    try:
        async for each in _talk(line):
            yield each
    finally:
        if not line.is_over:
            with suppress(httpx.HTTPError):  # the dial has set a limit to the call
                await line.hang_up()
    for names, ask in AFTER_THE_END:
        for each in await _answers(line, names, ask):
            yield each


async def _talk(line: Line) -> AsyncIterator[ProviderAnswer]:
    if await line.webhook("call.answered", line.waits.answer) is None:
        yield ProviderAnswer("key_press", "no_key", "nobody answered")
        return
    key = await ask_key_press(line)
    yield key
    if key.answer != "heard":
        return
    for names, ask in ON_THE_LINE:
        for each in await _answers(line, names, ask):
            yield each


async def _answers(line: Line, names: tuple[str, ...], ask: Ask) -> list[ProviderAnswer]:
    if line.is_over and ask not in [late for _, late in AFTER_THE_END]:
        return [ProviderAnswer(name, NOT_ASKED, "the call was over") for name in names]
    try:
        found = await ask(line)
    except (httpx.HTTPError, KeyError, ValueError) as error:
        return [ProviderAnswer(name, UNCLEAR, type(error).__name__) for name in names]
    return found if isinstance(found, list) else [found]
