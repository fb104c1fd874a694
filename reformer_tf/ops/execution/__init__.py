"""Ways to carry out work: loops, slices of a sequence, chunks of rows, compiled functions, writing in place."""
