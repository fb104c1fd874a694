"""Attention as a function of tensors: blocks in sorted order, windows, and the gradient written by hand."""
