"""What measurements say: medians, ratios, crossovers, tables and plots."""
