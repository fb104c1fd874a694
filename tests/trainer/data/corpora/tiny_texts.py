"""A small TFDS data set for the tests."""

import tensorflow_datasets as tfds


class TinyTexts(tfds.core.GeneratorBasedBuilder):
    """Forty short texts, one of them empty, to train on, and three others."""

    VERSION = tfds.core.Version("1.0.0")

    def _info(self):
        features = {"body": tfds.features.Text(), "label": tfds.features.ClassLabel(num_classes=2)}
        return self.dataset_info_from_configs(features=tfds.features.FeaturesDict(features))

    def _split_generators(self, dl_manager):
        return {"train": self._generate_examples(40), "test": self._generate_examples(3)}

    def _generate_examples(self, count):
        for i in range(count):
            yield i, {"body": f"text {i}" if i != 1 else "", "label": i % 2}
