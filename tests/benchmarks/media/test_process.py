import os
import subprocess
import sys

from benchmarks.media.process import usage


def test_children_count_with_their_parent() -> None:
    alone = usage(os.getpid()).pss_mb
    ballast = "import sys; held = bytearray(b'x' * 50_000_000); print(flush=True); sys.stdin.read()"
    with subprocess.Popen(
        (sys.executable, "-c", ballast), stdin=subprocess.PIPE, stdout=subprocess.PIPE
    ) as child:
        assert child.stdout
        child.stdout.readline()
        together = usage(os.getpid())
    assert together.pss_mb > alone + 40
    assert together.cpu_seconds > 0
