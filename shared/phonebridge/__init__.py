"""Phonebridge: what the control plane and the media plane share."""
