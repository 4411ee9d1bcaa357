"""The rules of one conversation. Pure."""
