"""The gradient of a reversible residual stack."""
