"""The size of the image is measured and limited."""

import random
import re
import sys
from pathlib import Path

import pytest

from benchmarks.media import image_size


def test_a_layer_weighs_what_does_not_compress(tmp_path: Path) -> None:
    (tmp_path / "noise").write_bytes(random.Random(1).randbytes(2 * image_size.MB))
    (tmp_path / "zeros").write_bytes(bytes(2 * image_size.MB))
    assert image_size.layer_mb(tmp_path) == pytest.approx(2.0, abs=0.05)


def test_the_parts_make_the_whole(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(sys, "argv", ["image_size.py", str(tmp_path)])
    image_size.main()
    total, *parts, limit = map(float, re.findall(r"[\d.]+", capsys.readouterr().out))
    assert total == pytest.approx(sum(parts), abs=0.6)
    assert limit == image_size.LIMIT_MB


def test_an_image_above_the_limit_fails_the_build(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sys, "argv", ["image_size.py", str(tmp_path)])
    monkeypatch.setattr(image_size, "LIMIT_MB", image_size.BASE_MB)
    with pytest.raises(SystemExit, match="too large"):
        image_size.main()
