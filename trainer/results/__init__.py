"""Results of a run after its last step: export, final report and sample."""
