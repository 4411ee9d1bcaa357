"""Audio and words of the two sides, and the time they take. Pure."""
