"""AWS services on this machine, as template.yaml describes them."""
