"""What measurements share: sizes, flags, clocks, memory, processes, and the model that is measured."""
