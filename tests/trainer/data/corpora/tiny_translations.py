"""A small TFDS data set of translations for the tests."""

import tensorflow_datasets as tfds


class TinyTranslations(tfds.core.GeneratorBasedBuilder):
    """Twenty short texts in two languages to train on, one of them empty, and three others."""

    VERSION = tfds.core.Version("1.0.0")

    def _info(self):
        return self.dataset_info_from_configs(features=tfds.features.Translation(["en", "de"]))

    def _split_generators(self, dl_manager):
        return {"train": self._generate_examples(20), "test": self._generate_examples(3)}

    def _generate_examples(self, count):
        for i in range(count):
            yield i, {"en": f"text {i}", "de": f"Text {i}" if i != 1 else ""}
