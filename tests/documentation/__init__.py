"""What the documentation shows and says."""
