"""Pure functions of tensors: every seed, rotation and bucket is an argument, nothing is remembered between calls.

The letters of the shape comments are those of the package docstring, `help(reformer_tf)`.
"""
