from media_bridge.audio.codecs import Codec, decode, encode
from media_bridge.audio.converters import TelephoneToModel
from media_bridge.commands import AppendAudio, BridgeCommand
from media_bridge.speech.caller_audio import CallerAudioPath
from phonebridge.settings import ModelAudio

FRAME = bytes(range(160))


def audio_of(commands: list[BridgeCommand]) -> bytes:
    assert all(isinstance(each, AppendAudio) for each in commands)
    return b"".join(each.audio for each in commands if isinstance(each, AppendAudio))


def test_what_comes_early_is_kept_and_what_comes_late_passes_at_once() -> None:
    caller_audio = CallerAudioPath(ModelAudio.G711)
    caller_audio.begin(Codec.PCMU, Codec.PCMU, now=0.0)
    assert caller_audio.push(1, FRAME, 0.0) == []
    assert audio_of(caller_audio.start_forwarding()) == FRAME
    assert caller_audio.start_forwarding() == []
    assert audio_of(caller_audio.push(2, FRAME, 0.02)) == FRAME


def test_only_the_last_second_is_kept() -> None:
    caller_audio = CallerAudioPath(ModelAudio.G711)
    caller_audio.begin(Codec.PCMU, Codec.PCMU, now=0.0)
    for chunk in range(75):
        caller_audio.push(chunk, bytes([chunk]) * 160, 0.02 * chunk)
    assert audio_of(caller_audio.start_forwarding()) == b"".join(
        bytes([chunk]) * 160 for chunk in range(25, 75)
    )


def test_the_model_hears_the_law_that_it_was_told_of() -> None:
    caller_audio = CallerAudioPath(ModelAudio.G711)
    caller_audio.begin(Codec.PCMA, model_codec=Codec.PCMU, now=0.0)
    caller_audio.start_forwarding()
    expected = encode(Codec.PCMU, decode(Codec.PCMA, FRAME))
    assert audio_of(caller_audio.push(1, FRAME, 0.0)) == expected


def test_pcm_is_made_of_the_line_as_it_is() -> None:
    caller_audio = CallerAudioPath(ModelAudio.PCM24K)
    caller_audio.begin(Codec.PCMA, model_codec=Codec.PCMU, now=0.0)
    caller_audio.start_forwarding()
    assert audio_of(caller_audio.push(1, FRAME, 0.0)) == TelephoneToModel(Codec.PCMA).feed(FRAME)


def test_lost_frames_are_counted_and_filled_and_so_is_a_gap() -> None:
    caller_audio = CallerAudioPath(ModelAudio.G711)
    caller_audio.begin(Codec.PCMA, Codec.PCMA, now=0.0)
    caller_audio.start_forwarding()
    before = b"\x2a" * 160
    caller_audio.push(1, before, 0.0)
    assert caller_audio.push(3, FRAME, 0.04) == []
    due = caller_audio.next_deadline()
    assert audio_of(caller_audio.due(due)) == before + FRAME
    assert (caller_audio.frames, caller_audio.frames_lost) == (2, 1)
    assert audio_of(caller_audio.look_for_gap(0.1, speaks=True, now=0.85)) == b""
    assert (
        audio_of(caller_audio.look_for_gap(0.1, speaks=True, now=1.6))
        == Codec.PCMA.silence * 12_000
    )


def test_lost_l16_is_filled_with_as_much_of_it() -> None:
    caller_audio = CallerAudioPath(ModelAudio.PCM24K)
    caller_audio.begin(Codec.L16, Codec.L16, now=0.0)
    caller_audio.start_forwarding()
    caller_audio.push(1, bytes(640), 0.0)
    caller_audio.look_for_gap(0.0, speaks=True, now=0.75)
    assert audio_of(caller_audio.look_for_gap(0.0, speaks=True, now=1.5)) == bytes(1500 * 48)
