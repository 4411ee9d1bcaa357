"""Checks that find problems of a set-up before the first call."""
