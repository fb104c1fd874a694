"""Tests of the optimizer, its learning rate, the loss scale and the moving average."""
