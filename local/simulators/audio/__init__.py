"""Audio of the simulators, written apart from the product's."""
