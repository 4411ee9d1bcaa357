"""The media plane. One process carries many calls, with audio between Telnyx's media socket and the
model."""
