"""Audio code of the simulators, written separately from the product's."""
