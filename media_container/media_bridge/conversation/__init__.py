"""The rules of one conversation. This package is pure."""
