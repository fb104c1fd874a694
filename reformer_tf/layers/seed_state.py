"""Saves the state of a layer's random generator in files, which Keras leaves out."""

from typing import Any

import keras

_KEY = "seed_generator"


class SavesSeedState(keras.layers.Layer):
    """Base of layers with a `seed_generator`: after loading, training draws the numbers it would have drawn without.

    Files of older versions, without the state, load as well; the generator then starts from the layer's seed.
    """

    seed_generator: keras.random.SeedGenerator

    def save_own_variables(self, store: Any) -> None:
        super().save_own_variables(store)
        store[_KEY] = self.seed_generator.state

    def load_own_variables(self, store: Any) -> None:
        values = {name: store[name] for name in store.keys()}  # noqa: SIM118 - a store is no dict
        state = values.pop(_KEY, None)
        if state is not None:
            self.seed_generator.state.assign(state)
        super().load_own_variables(values)
