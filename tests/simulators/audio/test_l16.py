import numpy as np

from simulators.audio import l16
from simulators.audio.speech import CLIPS, recognise

LINE = CLIPS["caller_book"]


def test_what_was_said_is_recognised_after_both_ways() -> None:
    stream = l16.L16()
    frames = np.split(LINE.samples, range(160, len(LINE.samples), 160))
    heard = np.concatenate([stream.decode(stream.encode(frame)) for frame in frames])
    assert recognise(heard).clip is LINE
    assert len(heard) == len(LINE.samples)


def test_the_wrong_byte_order_is_known_and_noise() -> None:
    right = l16.L16().encode(LINE.samples)
    wrong = np.frombuffer(right, np.int16).byteswap().tobytes()
    assert not l16.is_turned_round(right)
    assert l16.is_turned_round(wrong)
    assert recognise(l16.L16().decode(wrong)).clip is None
    assert not l16.is_turned_round(bytes(640))
