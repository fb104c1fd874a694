"""Other models of the same sizes, to compare with: one file a subject."""
