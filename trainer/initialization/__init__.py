"""Runs that begin with the weights of another run, `config.init_from`, instead of random ones."""
