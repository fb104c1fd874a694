"""Breakages of models."""

from tools.breakages.breakage import Breakage

BREAKAGES = (
    Breakage(
        name="padding_in_the_mean",
        part="models",
        function="ReformerClassifier._pooled",
        old="vectors * weights",
        new="vectors",
        breaks="Padding counts in the mean over the vectors of a sequence.",
    ),
    Breakage(
        name="first_token_may_be_masked",
        part="models",
        function="ReformerClassifier._pooled",
        old="tf.argmax(tf.cast(mask, tf.int32), axis=1, output_type=tf.int32)",
        new="tf.zeros(tf.shape(mask)[:1], tf.int32)",
        breaks="A classifier takes the vector of the first token though it is masked.",
    ),
    Breakage(
        name="loss_of_the_first_padding",
        part="models",
        function="ReformerCausalLM._hidden_and_targets",
        old="(mask[:, :-1], mask[:, 1:])",
        new="(mask[:, :-1], mask[:, :-1])",
        breaks="The first token of the padding counts as a target.",
    ),
    Breakage(
        name="mean_of_a_replica",
        part="models",
        function="OwnLossModel.batch_loss",
        old="tf.math.divide_no_nan(total, global_weight)",
        new="tf.math.divide_no_nan(total, weight)",
        breaks="With several replicas the gradient is a sum of means: too large by the number of replicas.",
    ),
    Breakage(
        name="masked_targets_counted",
        part="models",
        function="ReformerMaskedLM._hidden_and_targets",
        old="counted &= mask",
        new="pass",
        breaks="A masked language model is trained on targets under the mask.",
    ),
    Breakage(
        name="spans_in_the_padding",
        part="models",
        function="ReformerSpanPredictor.apply_head",
        old="scores = tf.where(mask[:, :, None], scores, tf.constant(_MASKED, scores.dtype))",
        new="pass",
        breaks="The best span may lie in the padding.",
    ),
    Breakage(
        name="metrics_of_a_bad_batch",
        part="models",
        function="_update",
        old="tf.where(holds, becomes, was)",
        new="becomes",
        breaks="A batch whose loss is not finite spoils the metrics of the whole epoch.",
    ),
    Breakage(
        name="bad_update_applied",
        part="models",
        function="apply_if_finite.apply_or_not",
        old="wrong > 0",
        new="wrong > 1",
        breaks="One replica whose loss is not finite writes NaN into the weights.",
    ),
)
