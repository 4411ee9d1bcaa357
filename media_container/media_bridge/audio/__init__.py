"""Codecs, sample rates and frame order. Pure; uses numpy only."""
