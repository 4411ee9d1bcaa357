"""Asks Telnyx and OpenAI what their documents leave open, by one call and one session."""
