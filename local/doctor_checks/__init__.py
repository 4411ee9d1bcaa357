"""What can be wrong with a set-up before the first call, and how each of it is found."""
