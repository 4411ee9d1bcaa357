"""Code that the control plane and the media plane share."""

__version__ = "0.3.0"
