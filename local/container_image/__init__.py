"""The media container's image, run by a container engine of this machine."""
