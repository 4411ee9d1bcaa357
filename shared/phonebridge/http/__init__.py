"""HTTP requests to servers that users name."""
