"""From documents to batches of examples."""
