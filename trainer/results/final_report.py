"""The final report of a run, after its last step: export, reference numbers, an ablation and a sample."""

import json
import sys
from typing import Any

import tensorflow as tf

from trainer import atomic, exits
from trainer.model import load_described
from trainer.results import exporting, saved_model_check
from trainer.results.ablation import without_attention
from trainer.storage import report_file
from trainer.tasks.task import NO_ATTENTION, Task
from trainer.training import progress
from trainer.training.run import Run

ABLATION = "ablation_no_attention"
_TOLERANCE = 1e-5
_CHECKED_LENGTH = 1000


def close(run: Run, stop: exits.StopRequest) -> int:
    """Makes and prints the final report that the config asks for. A later start only prints it again.

    Args:
        run: The run, after its last step. Its state is saved, so a stop ends the work at once.
        stop: Request to stop earlier.

    Returns:
        The exit code of the process.
    """
    if not run.config.export and not run.config.report:
        run.process_group.leave()  # The others would miss a process that ends earlier.
        return exits.DONE
    chief = run.process_group.is_chief
    report = run.process_group.broadcast(_finished_report(run) if chief else None)
    if report is None:
        try:
            with run.averaged():
                if run.config.report:
                    _evaluate_without_attention(run, stop)
                if chief:
                    with stop.interruptible():
                        report = _make_report(run)
        except exits.Stopped:
            print("Stopped before the final report. The same command makes it.", flush=True)
            run.process_group.leave()
            return exits.STOPPED
        except (exits.NotSaved, OSError) as error:
            print(f"The final report could not be made: {error}", file=sys.stderr, flush=True)
            run.process_group.leave()
            return exits.NOT_SAVED
    if chief:
        if "report" in report["made"]:
            run.files.text("sample", run.config.sample.prompt + report["sample"])
        print(_as_text(report, run.task), flush=True)
    run.process_group.leave()
    return exits.DONE


def _finished_report(run: Run) -> dict[str, Any] | None:
    """Returns the report of an earlier start, if it is of this step and has all parts that the config asks for."""
    report = report_file.read(run.workdir.report, run.task.report_numbers)
    asked = {name for name in ("export", "report") if run.config[name]}
    return report if report and report["step"] == run.step and asked <= set(report["made"]) else None


def _make_report(run: Run) -> dict[str, Any]:
    validation, measure = run.files.find("validation", run.step), run.task.measure
    report: dict[str, Any] = {"step": run.step, "made": [], measure: validation and validation.get(measure)}
    if run.config.report:
        report["made"].append("report")
        report.update(_compare(run))
    with tf.device("CPU:0"):  # The check of the export computes on the CPU, too.
        model, description = load_described(run.config, run.workdir)
    if run.config.report:
        report["sample"] = run.task.sample(model, run.config, run.validation_examples())
        atomic.write_text(run.workdir.sample, run.config.sample.prompt + report["sample"])
    if run.config.export:
        report["made"].append("export")
        report["export"], report["export_difference"] = _export(run, model, description)
    atomic.write_text(run.workdir.report, json.dumps(report, indent=2, sort_keys=True) + "\n")
    return report


def _evaluate_without_attention(run: Run, stop: exits.StopRequest) -> None:
    with without_attention(run.model):
        run.evaluate_once(ABLATION, stop)


def _compare(run: Run) -> dict[str, Any]:
    """Returns the reference numbers of the validation documents and the evaluation without attention."""
    ablation, measure = run.files.find(ABLATION, run.step), run.task.measure
    some = {"evaluated_tokens": ablation and ablation["tokens"], "validation_tokens": run.all_validation_tokens()}
    return {
        **(some if run.config.train.eval_examples else {}),
        **run.task.refer(run.corpus),
        f"{measure}{NO_ATTENTION}": ablation and ablation.get(measure),
    }


def _export(run: Run, model: Any, description: dict[str, Any]) -> tuple[str, float]:
    exported = exporting.export_model(model, description, run.config, run.workdir, run.workdir.export)
    examples = run.validation_examples()
    longest = min(_CHECKED_LENGTH, run.config.train.sequence_length)
    request = run.task.request(examples.gather(tf.constant([0], tf.int64)), longest)
    difference = saved_model_check.largest_difference(model, exported, request)
    if not difference <= _TOLERANCE:
        raise RuntimeError(
            f"{exported}: logits differ by {difference:.1e} from those of the model, more than {_TOLERANCE}"
        )
    return str(exported), difference


def _as_text(report: dict[str, Any], task: Task) -> str:
    lines = []
    if "report" in report["made"]:
        compared = {label: report[name] for name, label in task.references.items()}
        compared["model"] = report[task.measure]
        compared["model with all attention outputs set to zero"] = report[f"{task.measure}{NO_ATTENTION}"]
        width = max(map(len, compared))
        lines += [
            f"{progress.label(task.measure)} of the validation documents",
            *(f"  {label:{width}}  {_shown(number)}" for label, number in compared.items()),
            *(
                [f"  (the model on {report['evaluated_tokens']:,} of the {report['validation_tokens']:,} tokens)"]
                if report.get("evaluated_tokens")
                else []
            ),
            "Sample",
            *(f"  | {line}" for line in report["sample"].splitlines()),
        ]
    if "export" in report["made"]:
        lines.append(
            f"Export {report['export']}: loaded by a process that imports only TensorFlow, "
            f"largest difference of logits {report['export_difference']:.1e}"
        )
    return "\n".join(lines)


def _shown(number: float | None) -> str:
    """Formats a number of a metrics line, which is None if it was not finite."""
    return "not finite" if number is None else f"{number:.4f}"
