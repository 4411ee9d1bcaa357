"""Stand-ins for the two providers: real sockets, real audio, loopback only."""
