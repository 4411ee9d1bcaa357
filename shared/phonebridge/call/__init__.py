"""A call: its record, its lifecycle, and the messages between its parts. This package is pure."""
