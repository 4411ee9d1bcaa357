"""Audio and words of the two sides, and their times. This package is pure."""
