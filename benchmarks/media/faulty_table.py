"""A proxy in front of the benchmark's database. It passes requests on until it gets SIGUSR1, and
then causes its fault.

python -m benchmarks.media.faulty_table http://127.0.0.1:9300 throttled
"""

import asyncio
import logging
import signal
import sys
import time

from benchmarks.drills.store_fault import Outage, StoreFault
from benchmarks.drills.store_proxy import store_proxy


async def serve(table: str, fault: StoreFault) -> None:
    outage = Outage(fault, float("inf"), float("inf"))

    def begin() -> None:
        outage.begins = time.monotonic()

    # Requests that still wait when the benchmark ends are cancelled. That is no error.
    logging.getLogger("uvicorn.error").disabled = True
    loop, over = asyncio.get_running_loop(), asyncio.Event()
    loop.add_signal_handler(signal.SIGUSR1, begin)
    loop.add_signal_handler(signal.SIGTERM, over.set)
    async with store_proxy(table, outage, time.monotonic) as address:
        print(address, flush=True)
        await over.wait()


if __name__ == "__main__":
    asyncio.run(serve(sys.argv[1], StoreFault(sys.argv[2])))
