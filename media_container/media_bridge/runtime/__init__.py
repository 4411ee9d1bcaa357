"""Sockets, threads and timers: the only package of the media plane that performs I/O."""
