"""The stages of a training step: what each costs, takes, and could take at best."""
