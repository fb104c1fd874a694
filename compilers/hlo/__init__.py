"""Readers of compiled programs in XLA's format: their memory, their operations, and the time that these take at least.

Programs are protocol buffers, an `HloModuleProto`, or an `HloProto` that has the assignment of buffers besides. They
come from any compiler of XLA's: TensorFlow's for this machine, or another one for a chip that is not here.
"""
