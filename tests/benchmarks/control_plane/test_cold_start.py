from benchmarks.control_plane.cold_start import Heavy, heaviest


def test_imports_count_for_their_package() -> None:
    log = (
        "import time: self [us] | cumulative | imported package\n"
        "import time:      4000 |       4000 |     botocore.client\n"
        "import time:      9000 |      13000 |   botocore\n"
        "import time:      2000 |       2000 | json\n"
    )
    assert heaviest(log) == [Heavy("botocore", 13.0), Heavy("json", 2.0)]
