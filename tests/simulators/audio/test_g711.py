import numpy as np

from simulators.audio.g711 import A_LAW, MU_LAW

EVERY_CODE = bytes(range(256))
EVERY_SAMPLE = np.arange(65536).astype(np.uint16).view(np.int16)


def test_every_code_comes_back() -> None:
    assert A_LAW.encode(A_LAW.decode(EVERY_CODE)) == EVERY_CODE
    # mu-law has two zeros. The negative one, 0x7F, is decoded and encoded as the positive one.
    assert MU_LAW.encode(MU_LAW.decode(EVERY_CODE)) == EVERY_CODE.replace(b"\x7f", b"\xff")


def test_known_codes() -> None:
    assert MU_LAW.decode(b"\xff\x00\x80").tolist() == [0, -32124, 32124]
    assert A_LAW.decode(b"\xd5\x55\xaa\x2a").tolist() == [8, -8, 32256, -32256]


def test_every_sample_is_within_half_a_step() -> None:
    for law in (MU_LAW, A_LAW):
        decoded = law.decode(law.encode(EVERY_SAMPLE)).astype(np.int64)
        error = np.abs(decoded - EVERY_SAMPLE)
        assert (error <= np.maximum(16, np.abs(EVERY_SAMPLE.astype(np.int64)) // 27)).all()
