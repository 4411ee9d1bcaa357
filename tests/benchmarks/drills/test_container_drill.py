"""A container may die between any two of its requests: no call and no command is lost."""

import pytest

from benchmarks.drills.container_drill import SHORT, ContainerDrill


@pytest.mark.parametrize("drill", SHORT, ids=lambda drill: drill.name)
def test_wherever_a_container_dies_its_call_goes_on_and_each_command_takes_effect_once(
    drill: ContainerDrill,
) -> None:
    result = drill.run()
    assert result.notes == ()
    assert result.is_clean
