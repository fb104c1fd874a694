"""What compilers of devices say about a program, and programs compiled without TensorFlow.

A training step is lowered by TensorFlow and compiled, for the device of this machine or for a chip that need not be
here. Its program is read: the memory that it takes, what it executes, and the time that this takes at least.
"""
