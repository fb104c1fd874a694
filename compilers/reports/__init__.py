"""What compiled programs need, as text."""
