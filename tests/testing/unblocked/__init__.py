"""Plain reference implementations of attention, layer and model, and the check of the fast ones against them."""
