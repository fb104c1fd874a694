"""The budgets of work of each device: how much is computed at a time, and from which amount on another way is faster.

They change speed and memory, not what is computed. Those of a CPU keep work in its caches, and were measured there. An
accelerator has no such caches and pays for each kernel that it starts: there is no loop as long as memory lasts, and
loops of few large steps after that, so its budgets follow from its memory.

Compiled for an H200 by XLA (jaxlib 0.10.2; 12 layers of width 1024, local and LSH with 4 rounds in turns, bfloat16,
forward and backward; times at least, by bytes, operations and launches): 16,384 tokens launch 1,286 kernels, take
58.0 ms and 1.95 GiB of temporary memory, where the budgets of a CPU launch 66,743 and take 192 ms; 65,536 tokens take
229 ms and 7.7 GiB. Compiled for a TPU v5e by libtpu 0.0.52, the optimizer step of `configs/million_tokens.py` takes 7.1
GiB in all.
"""

from typing import NamedTuple

CPU = "CPU"

# The memory of an accelerator that does not say how much it has: that of a TPU v5e chip or a core of a v3.
DEFAULT_MEMORY_BYTES = 16 * 2**30


class Budgets(NamedTuple):
    """The budgets on one kind of device.

    Attributes:
        group_bytes: of float32 logits in a group of blocks of windowed attention. Groups that fit the cache are
            fastest; in much smaller ones the fixed cost of operations dominates. On accelerators this and the
            following two are of keys or values of the windows, where these are larger.
        ungrouped_bytes: of float32 logits up to which all blocks are one group.
        compiled_group_bytes: of float32 logits in a group that XLA compiles, whose few operations have a small fixed
            cost.
        all_pairs_bytes: of float32 logits that attention to all pairs may hold at a time.
        all_pairs_percent: up to how many tokens for each 100 keys in the windows of all rounds all pairs are cheaper
            than windows, without the following; measured eagerly, in graphs and in XLA.
        all_pairs_percent_a_round: the same for each round, because windows compare a pair with all rounds before.
        projection_bytes: of one round's projections that hashing may hold at a time.
        feature_bytes: of the log-features of queries in a group of chunks of attention by features, which holds some
            ten such tensors.
        longest_counted: tokens up to which ranks are counted; longer sequences are sorted, because the time of counting
            grows with the square of the length.
        counted_together: tokens that are compared with all others before the results are summed.
        chunk_bytes: of the widest float32 tensor of a chunk of rows, if a caller names no chunk length.
        least_slice_tokens: of the slices of the residual streams, however small a chunk is.
        slice_sizes: how many sizes slices may have, where the length is known only when the graph runs. A function is
            compiled for each size.
        free_slice_sizes: how many of these steps are not rounded up, because nothing is compiled for so few tokens.
        heads_bytes: of the float32 queries of a group of heads, if it has more than one. All tensors that are alive
            besides the streams take some six to ten times as much.
        least_compiled_work: pairs or numbers in a call from which on compiling a function pays: it takes about a second
            for each shape, and less work about a millisecond, compiled or not.
        scanned_bytes: of the weights of a stack up to which a compiled program has a loop over equal blocks. It copies
            their weights and gradients into arrays; without it the program grows with depth.
        background_bytes: of arguments and results of a function up to which it is compiled in the background, by a run
            on zeros; these must be small beside the memory of training.
    """

    group_bytes: int = 4 * 2**20
    ungrouped_bytes: int = 20 * 2**20
    compiled_group_bytes: int = 2**20
    all_pairs_bytes: int = 16 * 2**20
    all_pairs_percent: int = 150
    all_pairs_percent_a_round: int = 15
    projection_bytes: int = 16 * 2**20
    feature_bytes: int = 2**20
    longest_counted: int = 1024
    counted_together: int = 8
    chunk_bytes: int = 16 * 2**20
    least_slice_tokens: int = 1024
    slice_sizes: int = 32
    free_slice_sizes: int = 8
    heads_bytes: int = 64 * 2**20
    least_compiled_work: int = 2**19
    scanned_bytes: int = 2**62
    background_bytes: int = 64 * 2**20


def of_device(kind: str, memory_bytes: int) -> Budgets:
    """The budgets on a device.

    Args:
        kind: of the device, as TensorFlow calls it.
        memory_bytes: of an accelerator; those of a CPU do not follow from it.
    """
    if kind == CPU:
        return Budgets()
    # Some ten tensors of this size are alive at a time, and memory must be left to weights and streams. A TPU pads rows
    # of heads to 128 numbers, often twice as many.
    tensor = memory_bytes // 64
    group = tensor // 2 if kind == "TPU" else tensor
    return Budgets(
        group_bytes=group,
        ungrouped_bytes=group,
        compiled_group_bytes=group,
        all_pairs_bytes=group,
        projection_bytes=tensor,
        feature_bytes=tensor,
        chunk_bytes=tensor,
        heads_bytes=tensor,
        # A GPU's compiler takes some five seconds for each layer, a TPU's a minute: there copies may be cheaper.
        scanned_bytes=0 if kind == "GPU" else tensor,
    )
