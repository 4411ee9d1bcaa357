"""The questions that the documents leave open, each possible answer, and its consequence."""

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType

NOT_ASKED = "not_asked"
UNCLEAR = "unclear"


@dataclass(frozen=True, slots=True)
class OpenQuestion:
    text: str
    answers: Mapping[str, str]
    """What each answer means for Phonebridge."""


@dataclass(frozen=True, slots=True)
class ProviderAnswer:
    """An answer of a provider. `detail` has its figures and codes, and nothing personal."""

    question: str
    answer: str
    detail: str = ""


_LINE: Mapping[str, OpenQuestion] = {
    "key_press": OpenQuestion(
        "Does a person hear Telnyx's voice, and does a key press arrive?",
        {
            "heard": "The line works.",
            "no_key": "Nobody pressed a key. The answers about sound are missing.",
        },
    ),
    "dial_repeated": OpenQuestion(
        "What does a dial with a used `command_id` do?",
        {
            "same_call": "A repeated dial is safe.",
            "second_call": "A repeated dial rings twice: repeat no dial whose answer was lost.",
            "refused": "A repeated dial is refused: ask for the call before repeating it.",
        },
    ),
    "hangup_repeated": OpenQuestion(
        "What does a second hangup do?",
        {
            "already_over": "90018 means that the call is over, as the code assumes.",
            "accepted": "A second hangup does no harm.",
            "other": "The code of the refusal is new: add it to `refusals.py`.",
        },
    ),
    "command_id_early": OpenQuestion(
        "Is a command with a used `command_id` ignored after some seconds?",
        {
            "ignored": "A command may be repeated with its id.",
            "executed": "Repeated commands take effect twice: do not repeat speak and transfer.",
            "refused": "A duplicate is refused: the code of the refusal counts as success.",
        },
    ),
    "command_id_late": OpenQuestion(
        "Is it ignored after more than a minute, too?",
        {
            "ignored": "The window is longer than documented.",
            "executed": "The window is a minute, as documented.",
            "refused": "A duplicate is refused: the code of the refusal counts as success.",
        },
    ),
    "silent_leg": OpenQuestion(
        "Does a leg end that has no stream and no sound from us?",
        {
            "stays": "A call may wait so long for the next stream.",
            "ended": "Say something in time, or open the next stream before that.",
        },
    ),
    "rate_limit": OpenQuestion(
        "Do the answers of the API tell its limit?",
        {
            "shown": "Programs that place many calls can pace themselves by the headers.",
            "hidden": "Only a 429 tells: wait and repeat, as the code does.",
            "reached": "This test was refused for its pace: ask Telnyx for a higher limit.",
        },
    ),
    "source_addresses": OpenQuestion(
        "Do webhooks and media sockets come from the addresses that Telnyx publishes?",
        {
            "published": "A firewall may allow these addresses alone.",
            "others": "Do not filter addresses: signature and token decide, as the code does.",
            "hidden": "The tunnel hides them. Look into the access log of a load balancer.",
        },
    ),
    "webhook_retries": OpenQuestion(
        "Are webhooks delivered again by default, under the same id?",
        {
            "same_id": "`data.id` finds repetitions, as the code assumes.",
            "new_id": "Repetitions have new ids: find them by type and time.",
            "never": "Without `webhook_retries_policies` a lost webhook stays lost.",
        },
    ),
    "lookup_after_end": OpenQuestion(
        "What does `GET /calls/{id}` say after the end of a call?",
        {
            "over": "The end can be asked for during all of that time.",
            "forgotten": "Ask early: later the end is not known any more.",
            "stale": "It says `alive` after the end: ask twice before you believe it.",
        },
    ),
}

_STREAMS: Mapping[str, OpenQuestion] = {
    "stream_id_in_started": OpenQuestion(
        "Does `streaming.started` have a `stream_id`?",
        {
            "yes": "A stream can be stopped by its id once it has started.",
            "no": "Only the `start` frame tells the id.",
            "no_webhook": "`streaming.started` did not come: do not wait for it.",
        },
    ),
    "speak_beside_stream": OpenQuestion(
        "Is `speak` heard while a media stream is open?",
        {
            "heard": "The carrier can speak without a stop of the stream.",
            "not_heard": "It starts and is not heard: stop the stream first.",
            "never_started": "It is accepted and dropped: stop the stream first.",
            "refused": "It is refused: stop the stream first.",
        },
    ),
    "second_stream": OpenQuestion(
        "What does a second `streaming_start` do while a stream is open?",
        {
            "refused": "Stop the stream before the next one, as the code does.",
            "replaces": "The next stream needs no stop, so a take-over is faster.",
            "both": "Both run: stop the old one, or the caller hears two agents.",
            "no_socket": "It is accepted and nothing opens: do not rely on a 200.",
        },
    ),
    "stop_then_start": OpenQuestion(
        "Does a stream open after `streaming_stop`?",
        {
            "works": "A take-over works.",
            "refused": "A take-over fails: raise the pause between stop and start.",
            "no_socket": "It is accepted and nothing opens: do not rely on a 200.",
        },
    ),
    "dropped_socket": OpenQuestion(
        "What happens when our process dies (the socket breaks)?",
        {
            "reconnects": "Telnyx opens the socket again: accept a used token for a broken stream.",
            "stopped": "`streaming.stopped` tells, as the code assumes.",
            "failed": "`streaming.failed` tells.",
            "nothing": "Nothing tells: only heartbeats and the sweep notice.",
        },
    ),
    "start_after_drop": OpenQuestion(
        "Does a stream open on a leg whose socket broke?",
        {
            "works": "The next stream can be asked for at once.",
            "needs_stop": "Send `streaming_stop` first, as the code does.",
            "never": "The call cannot be taken over: it needs the fallback.",
        },
    ),
    "closed_socket": OpenQuestion(
        "What happens when we close the socket in an orderly way?",
        {
            "reconnects": "Telnyx opens the socket again: stop the stream before you close.",
            "stopped": "`streaming.stopped` tells, as the code assumes.",
            "failed": "`streaming.failed` tells.",
            "nothing": "Nothing tells: only heartbeats and the sweep notice.",
        },
    ),
}

_SOUND: Mapping[str, OpenQuestion] = {
    "timestamp_unit": OpenQuestion(
        "In which unit does `media.timestamp` count?",
        {
            "milliseconds": "Gaps can be measured by it.",
            "samples": "Gaps can be measured by it, once it is divided by the rate.",
            "other": "Use `chunk` alone.",
            "no_media": "No audio came from the line.",
        },
    ),
    "frame_length": OpenQuestion(
        "How long is a media frame?",
        {
            "20_ms": "As the code assumes.",
            "other": "The jitter buffer must be told the length.",
            "no_media": "No audio came from the line.",
        },
    ),
    "frames_in_silence": OpenQuestion(
        "Do frames come while the line is silent?",
        {
            "continuous": "Missing frames mean a broken line.",
            "gaps": "Missing frames are normal: ask with a ping before the stream counts as lost.",
            "no_media": "No audio came from the line.",
        },
    ),
    "short_chunks": OpenQuestion(
        "Are chunks below 20 ms accepted?",
        {
            "accepted": "The tail of a sentence needs no padding.",
            "refused": "Pad the tail of a sentence to 20 ms.",
            "no_answer": "Pad the tail of a sentence to 20 ms, to be safe.",
        },
    ),
    "l16_order": OpenQuestion(
        "Which byte order has L16 that we send?",
        {
            "big": "`L16_BYTE_ORDER=big`, the default.",
            "little": "Set `L16_BYTE_ORDER=little`.",
            "neither": "Do not use L16.",
            "both": "Ask again: the number of beeps was not clear.",
            "refused": "Do not use L16.",
        },
    ),
    "l16_order_received": OpenQuestion(
        "Which byte order has L16 that we receive?",
        {
            "big": "`L16_BYTE_ORDER=big`, the default.",
            "little": "Set `L16_BYTE_ORDER=little`.",
            "other_codec": "This line has no HD voice: ask on one that has.",
            "no_media": "No audio came from the line.",
        },
    ),
    "l16_24k": OpenQuestion(
        "Is L16 at 24 kHz accepted?",
        {
            "accepted": "The model's audio could pass without resampling.",
            "refused": "16 kHz, as the code does.",
        },
    ),
}

_MODEL: Mapping[str, OpenQuestion] = {
    "restore": OpenQuestion(
        "Does a new session speak after 40 items of an earlier conversation?",
        {
            "speaks": "A session can be restored item by item.",
            "text_only": "It answers in text: delete that item and ask once more.",
            "refused": "Pack the history into one item.",
            "silent": "Pack the history into one item.",
        },
    ),
    "audio_item": OpenQuestion(
        "Can the caller's buffered G.711 be given as an item?",
        {
            "accepted": "An unanswered turn can be restored as sound.",
            "refused": "Append the sound to the buffer instead.",
        },
    ),
    "truncate_error": OpenQuestion(
        "Does the refusal of a truncation that is too long have a code?",
        {
            "code": "Match on the code.",
            "no_code": "Match on type and message.",
            "accepted": "There is no refusal.",
        },
    ),
    "delta_pace": OpenQuestion(
        "Does sound come faster than it plays?",
        {
            "faster": "The pacer is needed.",
            "real_time": "The buffer may run dry: raise the lead.",
        },
    ),
    "cancel_events": OpenQuestion(
        "Do `*.done` events follow a cancelled response?",
        {
            "done_events": "Parts of a cancelled response are closed.",
            "only_response": "Only `response.done` closes a cancelled response.",
        },
    ),
    "status_details": OpenQuestion(
        "What is `status_details` of a completed response?",
        {
            "null": "As documented.",
            "object": "Read it tolerantly, as the code does.",
            "text": "Read it tolerantly, as the code does.",
        },
    ),
}

_INBOUND: Mapping[str, OpenQuestion] = {
    "answer_token": OpenQuestion(
        "Does `answer` pass its `stream_auth_token` to the media socket?",
        {
            "header": "`answer` can begin the stream: one command less until the first word.",
            "frame": "The same, because the code accepts a token in the `connected` frame.",
            "absent": "Send `streaming_start` after the answer, as the code does.",
            "refused": "Send `streaming_start` after the answer, as the code does.",
            "no_socket": "Send `streaming_start` after the answer, as the code does.",
            "no_call": "Nobody called, or the webhook did not arrive: ask again.",
        },
    ),
}

QUESTIONS: Mapping[str, OpenQuestion] = MappingProxyType(
    {**_INBOUND, **_LINE, **_STREAMS, **_SOUND, **_MODEL}
)
LINE_QUESTIONS = (*_LINE, *_STREAMS, *_SOUND)
MODEL_QUESTIONS = tuple(_MODEL)
