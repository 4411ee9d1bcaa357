"""The media plane: one process, many calls; audio between Telnyx's media socket and the model."""
