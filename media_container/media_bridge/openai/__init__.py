"""OpenAI Realtime, or any server that speaks its protocol."""
