"""How work is carried out: loops, slices of a sequence, chunks of rows, compiled functions, writing in place."""
