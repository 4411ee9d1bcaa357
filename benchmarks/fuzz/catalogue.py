"""All targets of `make fuzz`: a million inputs for the decoders and the bridge, 20,000 for each
handler and each socket."""

from collections.abc import Iterator

from benchmarks.fuzz import (
    bridge_targets,
    decoder_targets,
    handler_targets,
    job_targets,
    socket_targets,
)
from benchmarks.fuzz.target import Target


def all_targets() -> Iterator[Target]:
    yield from bridge_targets.targets()
    yield from decoder_targets.targets()
    yield from handler_targets.targets()
    yield from job_targets.targets()
    yield from socket_targets.targets()
