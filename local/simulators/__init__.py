"""Simulators of the two providers, with real sockets and real audio, on loopback only."""
