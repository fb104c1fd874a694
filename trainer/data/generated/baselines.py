"""What simple predictors reach, to be read beside every accuracy.

Shape letters: N examples, L length, F grey levels that are used.
"""

import numpy as np

_ROUNDS = 30
_PENALTY = 1e-3  # on squared weights, so that they stay finite where the histograms separate the labels


def class_majority(train_labels: np.ndarray, labels: np.ndarray) -> float:
    """Computes the accuracy of always predicting the most frequent label of the training examples.

    Args:
        train_labels: `[N]` integers from 0 on, at least one.
        labels: `[N]` integers, the labels to predict, at least one.

    Returns:
        The accuracy, from 0 to 1.

    Raises:
        ValueError: If there are no labels.

    Examples:
        >>> class_majority(np.array([2, 2, 1]), np.array([2, 1, 2, 2]))
        0.75
    """
    for name, value in (("train_labels", train_labels), ("labels", labels)):
        if not len(value):
            raise ValueError(f"`{name}` must have at least one label. Received: 0 labels")
    return float(np.mean(labels == np.bincount(train_labels).argmax()))


def bag_of_pixels(train_ids: np.ndarray, train_labels: np.ndarray, ids: np.ndarray, labels: np.ndarray) -> float:
    """Computes the accuracy of logistic regression on how often each grey level occurs in a picture.

    It does not know where a pixel is, so for a task that depends on positions it is at chance. Where all pictures to
    learn from have one label, it predicts that label.

    Args:
        train_ids: `[N, L]` uint8, pictures to learn from.
        train_labels: `[N]` integers, 0 or 1.
        ids: `[N, L]` uint8, pictures to predict.
        labels: `[N]` integers, 0 or 1.

    Returns:
        The accuracy, from 0 to 1.

    Raises:
        ValueError: If there is another label, or there are none.

    Examples:
        >>> dark, light = np.zeros((20, 4), np.uint8), np.full((20, 4), 200, np.uint8)
        >>> pictures, labels = np.concatenate([dark, light]), np.repeat([0, 1], 20)
        >>> bag_of_pixels(pictures, labels, pictures, labels)
        1.0
    """
    check_two_classes("train_labels", train_labels)
    check_two_classes("labels", labels)
    if train_labels.min() == train_labels.max():  # There is nothing that could tell two labels apart.
        return class_majority(train_labels, labels)
    histograms = _histograms(train_ids)
    mean, deviation = histograms.mean(axis=0), histograms.std(axis=0)
    used = deviation > 0.0
    weights = _logistic_regression(_inputs(histograms, mean, deviation, used), train_labels)
    predicted = _inputs(_histograms(ids), mean, deviation, used) @ weights > 0.0
    return float(np.mean(predicted == labels))


def check_two_classes(name: str, labels: np.ndarray) -> None:
    """Checks labels of two classes.

    Args:
        name: Name of the argument.
        labels: What was received.

    Raises:
        ValueError: If there are other labels than 0 and 1, or none.
    """
    if not len(labels) or not np.isin(labels, (0, 1)).all():
        raise ValueError(f"`{name}` must be 0 or 1, at least one. Received: {np.unique(labels).tolist()}")


def _histograms(ids: np.ndarray) -> np.ndarray:
    """`[N, 256]` float64, how often each level occurs."""
    levels = ids + 256 * np.arange(len(ids))[:, None]
    return np.bincount(levels.ravel(), minlength=256 * len(ids)).reshape(len(ids), 256).astype(np.float64)


def _inputs(histograms: np.ndarray, mean: np.ndarray, deviation: np.ndarray, used: np.ndarray) -> np.ndarray:
    """`[N, F + 1]`: histograms with mean 0 and deviation 1, and a constant."""
    scaled = (histograms[:, used] - mean[used]) / deviation[used]
    return np.pad(scaled, ((0, 0), (0, 1)), constant_values=1.0)


def _logistic_regression(inputs: np.ndarray, labels: np.ndarray) -> np.ndarray:
    """Weights `[F + 1]` by Newton's method."""
    weights = np.zeros(inputs.shape[1])
    penalties = _PENALTY * len(inputs) * np.eye(inputs.shape[1])
    for _ in range(_ROUNDS):
        probabilities = 0.5 * (1.0 + np.tanh(0.5 * (inputs @ weights)))
        gradient = inputs.T @ (probabilities - labels) + penalties @ weights
        curvature = (inputs.T * (probabilities * (1.0 - probabilities))) @ inputs + penalties
        weights -= np.linalg.solve(curvature, gradient)
    return weights
