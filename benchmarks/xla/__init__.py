"""Programs compiled by XLA: what they need and consist of."""
