"""Deadlines are seconds of the bridge's clock, as `float`. An event that will not become due has
the deadline `NEVER`, so the earliest of several deadlines is their `min`."""

from math import inf

NEVER = inf
