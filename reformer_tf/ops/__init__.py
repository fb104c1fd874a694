"""Pure functions of tensors: every seed, rotation and bucket is an argument.

What else they know is in three places: `execution.scopes` (variables that hold for a `with` block), `execution.budgets`
(how much is computed at a time) and `execution.compiled_functions` (programs, which are remembered between calls).

The letters of the shape comments are those of the package docstring, `help(reformer_tf)`.
"""
