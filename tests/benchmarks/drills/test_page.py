"""docs/reliability.md begins with what the reader wants to know."""

from pathlib import Path

from benchmarks.drills import page
from benchmarks.drills.catalogue import NO_FAULT
from benchmarks.drills.drill import DrillResult, KindResult
from benchmarks.drills.steady_costs import SteadyCosts
from benchmarks.drills.store_drill import StoreDrill
from benchmarks.drills.store_fault import StoreFault
from benchmarks.media.store_faults import AudioDuringFault, StoredFigures, load
from benchmarks.soak.figures import Sample, Soak
from phonebridge.settings import ModelAudio

COSTS = SteadyCosts(1800, 40, 12)


def result(**counts: int) -> DrillResult:
    nothing = dict.fromkeys(
        ("lost", "moved", "wrong", "commands_lost", "commands_repeated", "legs_open_late"), 0
    )
    kind = KindResult(
        kind="talking", calls=4, silences=(4.0,), clean_seconds=(0.0,), **(nothing | counts)
    )
    return DrillResult((kind,))


def rendered(found: DrillResult, audio: StoredFigures | None = None) -> str:
    return page.render([NO_FAULT], {NO_FAULT.name: found}, COSTS, audio)


def test_the_page_says_first_how_many_healthy_calls_were_ended() -> None:
    lines = rendered(result(lost=3)).splitlines()
    verdict = next(number for number, line in enumerate(lines) if line.startswith("* **"))
    table = next(number for number, line in enumerate(lines) if line.startswith("|"))
    assert lines[verdict] == "* **3** healthy calls were ended."
    assert verdict < table


def test_the_page_names_the_command_that_writes_it() -> None:
    assert "`make drill`" in rendered(result())


def test_the_page_shows_a_soak_once_there_is_one() -> None:
    before, steady = Sample(0, 60.0, 20, 9, 0), Sample(1, 80.0, 90, 40, 40)
    soak = Soak(
        date="2026-11-30",
        machine="two cores",
        minutes=30,
        slots=40,
        calls=1_200,
        streams_lost=90,
        sessions_lost=120,
        wrong_records=0,
        before=before,
        samples=(steady,) * 30,
        after=steady,
    )
    found = page.render([NO_FAULT], {NO_FAULT.name: result()}, COSTS, soak=soak)
    assert "40 calls at a time for 30 minutes, 1,200 calls in all" in found
    assert "| after | 80.0 MB | 90 | 40 | 40 |" in found
    assert "memory grew by 0.0 KB per call" in found
    assert "at capacity" not in rendered(result())


def test_the_page_states_what_heartbeats_cost() -> None:
    assert "Heartbeats: 1,800 write units for each hour of a task" in rendered(result())


def test_the_page_shows_how_late_audio_is_while_the_table_fails() -> None:
    throttled = AudioDuringFault(StoreFault.THROTTLED, ModelAudio.G711, 0.08, 0.21, 0.17, 0.94, 0)
    audio = StoredFigures("2026-11-30", "2 cores", calls=40, rounds=3, rows=(throttled,))
    shown = rendered(result(), audio)
    assert "audio of 40 calls on one core (2 cores)" in shown
    assert "| throttled | g711 | 0.08 / 0.21 ms | 0.17 / 0.94 ms | 0 |" in shown


def test_without_a_measurement_the_page_says_nothing_about_audio(tmp_path: Path) -> None:
    assert "bench-faults" not in rendered(result(), load(tmp_path / "store_faults.json"))


def test_the_page_names_the_drills_that_were_not_run() -> None:
    other = StoreDrill(StoreFault.SLOW, 60.0, 5.0)
    found = page.render([NO_FAULT, other], {NO_FAULT.name: result()}, COSTS)
    assert f"Not run for this page:\n\n* {other.fault}\n" in found
    assert "Not run" not in rendered(result())
