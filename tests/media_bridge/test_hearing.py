from media_bridge.audio import Codec, TelephoneToModel, decode, encode
from media_bridge.commands import AppendAudio, BridgeCommand
from media_bridge.hearing import Hearing
from phonebridge.settings import ModelAudio

FRAME = bytes(range(160))


def heard(commands: list[BridgeCommand]) -> bytes:
    assert all(isinstance(each, AppendAudio) for each in commands)
    return b"".join(each.audio for each in commands if isinstance(each, AppendAudio))


def test_what_comes_early_is_kept_and_what_comes_late_passes_at_once() -> None:
    hearing = Hearing(ModelAudio.G711)
    hearing.begin(Codec.PCMU, Codec.PCMU)
    assert hearing.frame(1, FRAME, 0.0) == []
    assert heard(hearing.pass_on()) == FRAME
    assert hearing.pass_on() == []
    assert heard(hearing.frame(2, FRAME, 0.02)) == FRAME


def test_only_the_last_second_is_kept() -> None:
    hearing = Hearing(ModelAudio.G711)
    hearing.begin(Codec.PCMU, Codec.PCMU)
    for chunk in range(75):
        hearing.frame(chunk, bytes([chunk]) * 160, 0.02 * chunk)
    assert heard(hearing.pass_on()) == b"".join(bytes([chunk]) * 160 for chunk in range(25, 75))


def test_the_model_hears_the_law_that_it_was_told_of() -> None:
    hearing = Hearing(ModelAudio.G711)
    hearing.begin(Codec.PCMA, told=Codec.PCMU)
    hearing.pass_on()
    expected = encode(Codec.PCMU, decode(Codec.PCMA, FRAME))
    assert heard(hearing.frame(1, FRAME, 0.0)) == expected


def test_pcm_is_made_of_the_line_as_it_is() -> None:
    hearing = Hearing(ModelAudio.PCM24K)
    hearing.begin(Codec.PCMA, told=Codec.PCMU)
    hearing.pass_on()
    assert heard(hearing.frame(1, FRAME, 0.0)) == TelephoneToModel(Codec.PCMA).feed(FRAME)


def test_lost_frames_are_counted_and_filled_and_so_is_a_gap() -> None:
    hearing = Hearing(ModelAudio.G711)
    hearing.begin(Codec.PCMA, Codec.PCMA)
    hearing.pass_on()
    before = b"\x2a" * 160
    hearing.frame(1, before, 0.0)
    assert hearing.frame(3, FRAME, 0.04) == []
    due = hearing.next_deadline()
    assert due is not None
    assert heard(hearing.due(due)) == before + FRAME
    assert (hearing.frames, hearing.frames_lost) == (2, 1)
    assert heard(hearing.look_for_gap(0.1, speaks=True, now=0.85)) == b""
    assert heard(hearing.look_for_gap(0.1, speaks=True, now=1.6)) == Codec.PCMA.silence * 12_000


def test_lost_l16_is_filled_with_as_much_of_it() -> None:
    hearing = Hearing(ModelAudio.PCM24K)
    hearing.begin(Codec.L16, Codec.L16)
    hearing.pass_on()
    hearing.frame(1, bytes(640), 0.0)
    hearing.look_for_gap(0.0, speaks=True, now=0.75)
    assert heard(hearing.look_for_gap(0.0, speaks=True, now=1.5)) == bytes(1500 * 48)
