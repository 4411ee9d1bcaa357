import pytest

from aws.stack import free_port
from aws.template import TEMPLATE
from ring import CannotRing, ring
from tests.support.processes import output_of, python

RING = str(TEMPLATE.parent / "local" / "ring.py")


async def test_without_make_dev_it_says_what_to_start() -> None:
    with pytest.raises(CannotRing, match="start `make dev` first"):
        await ring(f"http://127.0.0.1:{free_port()}", "+15550100", "+15550123")


async def test_the_program_prints_one_sentence_and_fails() -> None:
    async with python(RING, "+15550100", "--port", str(free_port()), environ={}) as process:
        printed = await output_of(process)
    assert process.returncode == 1
    assert printed.count("\n") == 1
    assert "Traceback" not in printed
