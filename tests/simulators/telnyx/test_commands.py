import msgspec
import pytest

from simulators.telnyx.commands import (
    ACTIONS,
    ApiError,
    CommandBody,
    DialBody,
    StreamingStartBody,
    parse,
)

DIAL: dict[str, object] = {"connection_id": "1", "to": "+15550100", "from": "+15550199"}
STREAM: dict[str, object] = {"stream_url": "wss://example.com/media"}


def test_the_documented_defaults_hold() -> None:
    dial = parse(msgspec.json.encode(DIAL), DialBody)
    assert (dial.numbers[0], dial.from_) == ("+15550100", "+15550199")
    assert (dial.timeout_secs, dial.time_limit_secs) == (30, 14400)
    assert dial.stream_bidirectional_mode == "mp3"
    assert (dial.stream_bidirectional_codec, dial.stream_codec) == ("PCMU", "default")
    assert dial.stream_track == "inbound_track"


@pytest.mark.parametrize(
    "to", ["+15550100,200", "sip:agent@example.com", ["+15550100", "+15550101"]]
)
def test_a_dial_goes_to_numbers_extensions_sip_addresses_and_lists(to: object) -> None:
    dial = parse(msgspec.json.encode(DIAL | {"to": to}), DialBody)
    assert dial.numbers == (to if isinstance(to, list) else [to])


def test_unknown_parameters_are_ignored() -> None:
    assert parse(msgspec.json.encode(DIAL | {"sip_region": "Europe"}), DialBody)


@pytest.mark.parametrize(
    ("change", "code", "pointer"),
    [
        ({"to": "5550100"}, "10016", "/to"),
        ({"from": "anonymous"}, "10016", "/from"),
        ({"to": []}, "10016", "/to"),
        ({"to": ["+15550100", "5550101"]}, "10016", "/to"),
        ({"to": 15550100}, "10015", "/to"),
        ({"stream_bidirectional_mode": "RTP"}, "10032", "/stream_bidirectional_mode"),
        ({"stream_bidirectional_codec": "pcmu"}, "10032", "/stream_bidirectional_codec"),
        (
            {"stream_bidirectional_sampling_rate": 44100},
            "10032",
            "/stream_bidirectional_sampling_rate",
        ),
        ({"stream_track": "inbound"}, "10032", "/stream_track"),
        ({"timeout_secs": 4}, "10033", "/timeout_secs"),
        ({"timeout_secs": "30"}, "10015", "/timeout_secs"),
        ({"time_limit_secs": 14401}, "10033", "/time_limit_secs"),
        ({"client_state": "not base64!"}, "90017", "/client_state"),
        ({"stream_url": "https://example.com"}, "10015", "/stream_url"),
        ({"stream_url": "wss://example.com/" + "x" * 2000}, "10003", "/stream_url"),
    ],
)
def test_a_bad_value_is_refused_by_code_and_pointer(
    change: dict[str, object], code: str, pointer: str
) -> None:
    with pytest.raises(ApiError) as refusal:
        parse(msgspec.json.encode(DIAL | change), DialBody)
    assert refusal.value.status == 422
    assert (refusal.value.code, refusal.value.pointer) == (code, pointer)


@pytest.mark.parametrize("missing", ["to", "from", "connection_id"])
def test_what_a_dial_cannot_do_without_is_named(missing: str) -> None:
    body = {name: value for name, value in DIAL.items() if name != missing}
    with pytest.raises(ApiError) as refusal:
        parse(msgspec.json.encode(body), DialBody)
    assert (refusal.value.code, refusal.value.pointer) == ("10004", f"/{missing}")


@pytest.mark.parametrize(
    ("action", "body", "code", "pointer"),
    [
        ("streaming_start", {}, "10004", "/stream_url"),
        (
            "streaming_start",
            STREAM | {"custom_parameters": 1},
            "10015",
            "/custom_parameters",
        ),
        ("reject", {}, "10004", "/cause"),
        ("reject", {"cause": "BORED"}, "10032", "/cause"),
        ("transfer", {}, "10004", "/to"),
        ("send_dtmf", {"digits": "12x"}, "10015", "/digits"),
        ("send_dtmf", {"digits": "1", "duration_millis": 50}, "10033", "/duration_millis"),
        ("record_start", {"format": "mp3"}, "10004", "/channels"),
        ("speak", {"voice": "female"}, "10004", "/payload"),
        ("hangup", {"client_state": "?"}, "90017", "/client_state"),
    ],
)
def test_each_action_has_its_own_demands(
    action: str, body: dict[str, object], code: str, pointer: str
) -> None:
    with pytest.raises(ApiError) as refusal:
        parse(msgspec.json.encode(body), ACTIONS[action])
    assert (refusal.value.code, refusal.value.pointer) == (code, pointer)


def test_custom_parameters_are_a_list_of_names_and_values() -> None:
    body = STREAM | {"custom_parameters": [{"name": "customer", "value": "7"}]}
    [parameter] = parse(msgspec.json.encode(body), StreamingStartBody).custom_parameters
    assert (parameter.name, parameter.value) == ("customer", "7")


def test_an_empty_body_is_an_empty_command() -> None:
    assert parse(b"", ACTIONS["hangup"]) == ACTIONS["hangup"]()
    assert isinstance(parse(b"{}", ACTIONS["answer"]), CommandBody)


def test_what_is_not_json_is_a_bad_request() -> None:
    with pytest.raises(ApiError) as refusal:
        parse(b"{to:", DialBody)
    assert (refusal.value.status, refusal.value.code) == (400, "10023")
