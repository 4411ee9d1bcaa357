"""HTTP to servers that users name."""
