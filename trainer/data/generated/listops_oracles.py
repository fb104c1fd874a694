"""What one can know of ListOps' labels without reading whole trees: the baselines of every accuracy.

Many accuracies that were published for ListOps are those of a predictor that reads the first token. The ladder here
says how much of a tree must have been read for an accuracy.
"""

from __future__ import annotations

import numpy as np

from trainer.data.generated.listops import ListOps
from trainer.data.generated.listops_results import result_probabilities
from trainer.data.generated.listops_text import END, MAX, MED, MIN, SM

# A digit, or an operator with its arguments.
Tree = int | tuple[int, list["Tree"]]
# Training examples whose operators are counted; 5,000 have 500,000 operators at the sizes of the Long Range Arena.
_COUNTED_EXAMPLES = 5000


def accuracies(train: ListOps, examples: ListOps, levels: int = 3) -> dict[str, float]:
    """Computes the accuracies of predictors that know more and more of a tree.

    - `majority`: predicts the most frequent label of the training examples.
    - `root`: reads the first token, and predicts the most frequent label of training examples that begin with it.
    - `level k`: reads the operators down to depth k and all their arguments: of an argument at depth k + 1 that is an
      operator it knows which one. Its result is taken to have the probabilities that the results of this operator,
      wherever it stands, have in the training examples, independently of the others. The label with the largest
      probability that follows is predicted.

    Args:
        train: Training examples. Results of operators are counted in the first 5,000 of them.
        examples: Examples to predict, at least one.
        levels: Largest k.

    Returns:
        Accuracies from 0 to 1 by the names above.

    Raises:
        ValueError: If there are no examples.

    Examples:
        >>> from trainer.data.generated.listops import listops
        >>> sizes = {"min_length": 20, "max_length": 100, "max_depth": 5, "max_arguments": 5}
        >>> found = accuracies(listops(2000, **sizes), listops(500, **sizes, part="validation"), levels=4)
        >>> {name: round(accuracy, 2) for name, accuracy in found.items()}
        {'majority': 0.1, 'root': 0.25, 'level 1': 0.51, 'level 2': 0.72, 'level 3': 0.84, 'level 4': 1.0}
    """
    for name, value in (("train", train), ("examples", examples)):
        if not len(value.labels):
            raise ValueError(f"`{name}` must have at least one example. Received: 0 examples")
    majority = np.bincount(train.labels).argmax()
    by_root = np.zeros((END, 10), np.int64)
    np.add.at(by_root, (train.ids[:, 0], train.labels), 1)
    found = {
        "majority": np.mean(examples.labels == majority),
        "root": np.mean(examples.labels == by_root.argmax(axis=1)[examples.ids[:, 0]]),
    }
    frequencies = _result_frequencies(_parse(train, _COUNTED_EXAMPLES))
    trees = _parse(examples, len(examples.labels))
    for level in range(1, levels + 1):
        predicted = [_probabilities(tree, level, frequencies).argmax() for tree in trees]
        found[f"level {level}"] = np.mean(examples.labels == predicted)
    return {name: float(accuracy) for name, accuracy in found.items()}


def _parse(examples: ListOps, count: int) -> list[Tree]:
    return [_tree(ids[:length].tolist()) for ids, length in zip(examples.ids[:count], examples.lengths, strict=False)]


def _tree(ids: list[int]) -> Tree:
    operators: list[int] = []
    arguments: list[list[Tree]] = [[]]
    for index in ids:
        if index < MIN:
            arguments[-1].append(index)
        elif index < END:
            operators.append(index)
            arguments.append([])
        else:
            finished = arguments.pop()
            arguments[-1].append((operators.pop(), finished))
    return arguments[0][0]


def _result_frequencies(trees: list[Tree]) -> dict[int, np.ndarray]:
    """How often each operator has each result, `[10]` of each; once where it was never seen."""
    counts = {operator: [1] * 10 for operator in (MIN, MAX, MED, SM)}

    def count(tree: Tree) -> int:
        if isinstance(tree, int):
            return tree
        operator, arguments = tree
        values = sorted(count(argument) for argument in arguments)
        middles = values[(len(values) - 1) // 2], values[len(values) // 2]
        result = {MIN: values[0], MAX: values[-1], MED: sum(middles) // 2, SM: sum(values) % 10}[operator]
        counts[operator][result] += 1
        return result

    for tree in trees:
        count(tree)
    return {operator: np.array(found) / sum(found) for operator, found in counts.items()}


def _probabilities(tree: Tree, levels: int, frequencies: dict[int, np.ndarray]) -> np.ndarray:
    """Probabilities `[10]` of a tree's value for one who reads so many levels of it."""
    if isinstance(tree, int):
        return np.eye(10)[tree]
    operator, arguments = tree
    if not levels:
        return frequencies[operator]
    return result_probabilities(
        operator, np.stack([_probabilities(argument, levels - 1, frequencies) for argument in arguments])
    )
