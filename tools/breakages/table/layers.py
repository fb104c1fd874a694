"""Breakages of layers."""

from tools.breakages.breakage import Breakage

BREAKAGES = (
    Breakage(
        name="gate_not_applied",
        part="layers",
        function="ChunkedFeedForward._rows",
        old="hidden *= _with_bias(*project(x))",
        new="_with_bias(*project(x))",
        breaks="A gated feed-forward layer computes its gate and does not use it.",
    ),
    Breakage(
        name="axial_position_off_by_one",
        part="layers",
        function="AxialPositionEmbedding.look_up",
        old="positions // stride % size",
        new="(positions + 1) // stride % size",
        breaks="Each token gets the axial position of the next.",
    ),
    Breakage(
        name="ignored_targets_counted",
        part="layers",
        function="TokenHead.token_losses",
        old="tf.where(counted, tf.reshape(losses, shape), tf.zeros([], dtype))",
        new="tf.reshape(losses, shape)",
        breaks="Ignored targets have a loss.",
    ),
    Breakage(
        name="output_bias_for_each_group",
        part="layers",
        function="HeadProjections.merge",
        old="tf.where(heads.first == 0, bias, tf.zeros_like(bias))",
        new="bias",
        breaks="The output bias is added once for each group of heads.",
    ),
    Breakage(
        name="heads_drop_alike_in_groups",
        part="layers",
        function="SelfAttention.attend_heads",
        old="heads.first + tf.range(heads.count)",
        new="tf.range(heads.count)",
        breaks="Attention dropout of a head depends on which heads are computed together.",
    ),
    Breakage(
        name="hash_rounds_ignore_the_mask",
        part="layers",
        function="LSHSelfAttention.sorted_orders",
        old="ordering.hash_sorted_order(x, valid, num_buckets, self.chunk_length)",
        new="ordering.hash_sorted_order(x, None, num_buckets, self.chunk_length)",
        breaks="Masked tokens are seen in hash rounds.",
    ),
    Breakage(
        name="hash_rounds_ignore_the_mask_densely",
        part="layers",
        function="LSHSelfAttention.sort_keys",
        old="ordering.hash_sort_keys(buckets, valid, self.most_buckets, self.chunk_length)",
        new="ordering.hash_sort_keys(buckets, None, self.most_buckets, self.chunk_length)",
        breaks="Masked tokens take ranks in the hash rounds of short sequences.",
    ),
    Breakage(
        name="rotations_of_inference_in_training",
        part="layers",
        function="LSHSelfAttention.hash",
        old="call.training and self.redraw_rotations",
        new="False",
        breaks="New rotations are never drawn: training hashes like inference.",
    ),
    Breakage(
        name="attention_dropout_lost",
        part="layers",
        function="WindowedSelfAttention.attend",
        old="windowed.windowed_attention(query, keys, value, sorted_orders, window, segments, dropout)",
        new="windowed.windowed_attention(query, keys, value, sorted_orders, window, segments, None)",
        breaks="Attention dropout does nothing in bucket windows.",
    ),
    Breakage(
        name="branch_not_taken_off",
        part="layers",
        function="Attention.backward.remove_group.rebuild",
        old="changed(target, index, tf.subtract, update)",
        new="changed(target, index, tf.add, update)",
        breaks="The backward pass adds an attention branch again instead of subtracting it.",
    ),
    Breakage(
        name="dropout_of_slices_alike",
        part="layers",
        function="Residual.dropped",
        old=(
            "dropout.dropout(update, self.layer.dropout.rate, branch_inputs.seed, "
            "self.own_integers(branch_inputs)[0], start)"
        ),
        new=(
            "dropout.dropout(update, self.layer.dropout.rate, branch_inputs.seed, "
            "self.own_integers(branch_inputs)[0], 0)"
        ),
        breaks="Every slice of a long sequence drops as the first does.",
    ),
    Breakage(
        name="decoding_without_position",
        part="layers",
        function="step",
        old="layer.project(inputs, heads, None, start=indices.positions)",
        new="layer.project(inputs, heads, None)",
        breaks="In decoding, rotary positions of new tokens are all 0.",
    ),
    Breakage(
        name="embedding_scale_not_saved",
        part="layers",
        function="TokenEmbedding.get_config",
        old="self.scale",
        new="None",
        breaks="A saved model comes back with another scale of its embeddings.",
    ),
    Breakage(
        name="adapters_without_alpha",
        part="layers",
        function="LowRankAdapted.expanded",
        old="self.lora_alpha / inner.shape[-1]",
        new="1.0",
        breaks="Low-rank adapters count once, whatever their alpha.",
    ),
    Breakage(
        name="gradients_of_frozen_kernels",
        part="layers",
        function="value",
        old="tensor if variable.trainable else tf.stop_gradient(tensor)",
        new="tensor",
        breaks="A training step computes the gradients of frozen kernels, which nobody uses.",
    ),
    Breakage(
        name="adapters_of_a_file_dropped",
        part="layers",
        function="load",
        old="variable.assign(merged(variable, theirs))",
        new="pass",
        breaks="A layer without adapters ignores those of a file of weights.",
    ),
    Breakage(
        name="scan_of_other_adapters",
        part="layers",
        function="LayerBranch.signature",
        old="(v.name, tuple(v.shape), v.dtype)",
        new="(tuple(v.shape), v.dtype)",
        breaks="Blocks whose frozen weights differ are one layer scan, which exchanges them.",
    ),
)
