"""What `make bench-quarter` reads and writes."""

import json
import os
import subprocess
from pathlib import Path

import pytest

from benchmarks.media import small_task
from benchmarks.media.figures import delays
from benchmarks.media.small_task import SmallTask, StoredTasks
from benchmarks.media.throttle import Watch, throttled
from phonebridge.settings import ModelAudio
from tests.support.benchmark_runs import figures


def test_the_lag_is_read_from_the_metrics_in_the_log() -> None:
    metrics = [{"_aws": {}, "LoopLagMs": [1.5, 2.5]}, {"_aws": {}, "LoopLagMs": [3.5]}]
    lines = [json.dumps(each) for each in (*metrics, {"_aws": {}, "ActiveCalls": [1]})]
    log = "\n".join([*lines, '{"message": "call started"}', "no JSON"])
    assert small_task.lags_of(log) == [1.5, 2.5, 3.5]


def test_a_row_shows_the_share_of_the_core_that_the_calls_use() -> None:
    lag = delays([1.0, 9.0])
    row = SmallTask(0.25, ModelAudio.G711, 2.44, lag, 1.25, figures(cpu=0.3, calls=10))
    table = small_task.table(StoredTasks("", "", (row,)))
    assert table[-1].startswith("| 0.25 | g711 | 2.4 s | 5.0 % | 1.2 % | 9 / 9 ms |")
    assert len({line.count("|") for line in table}) == 1


@pytest.fixture
def version_1(tmp_path: Path) -> Path:
    (tmp_path / "cpu").mkdir()
    return tmp_path


@pytest.fixture
def version_2(tmp_path: Path) -> Path:
    (tmp_path / "cgroup.controllers").write_text("cpu memory")
    return tmp_path


def group_in(folder: Path) -> Path:
    [group] = (each for each in folder.iterdir() if each.is_dir() and "phonebridge" in each.name)
    return group


def test_a_quota_of_version_1(version_1: Path) -> None:
    with throttled(0.25, version_1):
        group = group_in(version_1 / "cpu")
        assert (group / "cpu.cfs_quota_us").read_text() == "25000"
        assert (group / "cpu.cfs_period_us").read_text() == "100000"


def test_a_quota_of_version_2(version_2: Path) -> None:
    with throttled(0.125, version_2):
        assert (group_in(version_2) / "cpu.max").read_text() == "12500 100000"


def test_the_program_enters_the_group_and_keeps_its_id(version_2: Path) -> None:
    with throttled(1.0, version_2) as quota:
        command = (*quota.wrapper, "sh", "-c", "echo $$")
        process = subprocess.Popen(command, stdout=subprocess.PIPE, env=dict(os.environ))
        printed, _ = process.communicate()
        entered = (group_in(version_2) / "cgroup.procs").read_text()
    assert int(printed) == int(entered) == process.pid


def test_the_share_of_periods_with_a_standstill_leaves_out_start_and_end(version_1: Path) -> None:
    with throttled(0.25, version_1) as quota:
        (quota.group / "cpu.stat").write_text("nr_periods 10\nnr_throttled 10\nthrottled_time 1\n")
        watch = Watch(quota)
        for periods, still in ((20, 10), (30, 12), (40, 40)):
            (quota.group / "cpu.stat").write_text(f"nr_periods {periods}\nnr_throttled {still}\n")
            watch.note()
    assert watch.standstill_percent(seconds=2, before_end=1) == 10
