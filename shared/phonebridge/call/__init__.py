"""A call: its record, its lifecycle, and what its parts say to each other. Pure."""
