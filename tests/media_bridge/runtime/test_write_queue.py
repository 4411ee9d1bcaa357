import threading

import pytest

from media_bridge.runtime.threads import Threads
from media_bridge.runtime.write_queue import WriteQueue
from phonebridge.errors import Conflict
from phonebridge.observability.log import logger
from tests.support.waiting import TIMEOUT_SECONDS


async def test_jobs_run_one_after_the_other_away_from_the_event_loop() -> None:
    records = WriteQueue(logger("records"), Threads("records", 1))
    done: list[tuple[int, bool]] = []
    for number in range(20):
        records.add(lambda number=number: done.append((number, _on_main_thread())))  # type: ignore[misc]
    records.close()
    await records.write()
    assert done == [(number, False) for number in range(20)]


def _on_main_thread() -> bool:
    return threading.current_thread() is threading.main_thread()


@pytest.mark.parametrize(
    "error", [Conflict("another writer was faster"), ZeroDivisionError("a bug")]
)
async def test_a_job_that_fails_is_logged_and_the_next_one_runs(
    error: Exception, capsys: pytest.CaptureFixture[str]
) -> None:
    def fail() -> None:
        raise error

    done = threading.Event()
    records = WriteQueue(logger(f"records-{type(error).__name__}"), Threads("records", 1))
    records.add(fail)
    records.add(done.set)
    records.close()
    await records.write()
    assert done.wait(TIMEOUT_SECONDS)
    [line] = capsys.readouterr().out.splitlines()
    assert '"message":"record not written"' in line
    assert str(error) in line
