"""The simulated OpenAI Realtime server."""
