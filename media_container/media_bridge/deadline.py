"""Deadlines are seconds of the bridge's clock, as `float`. What will not become due has `NEVER`, so
the earliest of several deadlines is their `min`."""

from math import inf

NEVER = inf
