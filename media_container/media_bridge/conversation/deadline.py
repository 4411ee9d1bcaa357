"""When the next thing is due, of many of which some may never be."""


def earliest(*times: float | None) -> float | None:
    known = [time for time in times if time is not None]
    return min(known) if known else None
