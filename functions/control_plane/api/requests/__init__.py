"""Request bodies and their validation."""
