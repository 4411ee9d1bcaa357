"""The way from a checkout to a running stack, and back."""
