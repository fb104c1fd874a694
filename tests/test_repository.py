"""README, continuous integration and pre-commit agree."""

import pathlib

ROOT = pathlib.Path(__file__).resolve().parents[1]


def _read(name: str) -> str:
    return (ROOT / name).read_text(encoding="utf-8")


def test_readme_gives_the_commands_that_ci_runs():
    tests = _read(".ci/run").splitlines()[-1]
    assert tests.startswith("python -m pytest")
    assert f'pip install -e ".[test]" && {tests}\n' in _read("README.md")
    assert 'install --quiet -e ".[test]"' in _read(".ci/run")


def test_readme_gives_the_main_job():
    assert "python -m trainer.task --config=configs/quickstart.py --workdir=" in _read("README.md")
    assert (ROOT / "configs/quickstart.py").is_file()


def test_pre_commit_runs_the_checks_of_ci():
    assert "entry: .ci/lint\n" in _read(".pre-commit-config.yaml")
    assert "\n.ci/lint\n" in _read(".ci/run")


def test_every_local_link_of_the_readme_exists():
    parts = _read("README.md").split("](")[1:]
    targets = [part.split(")")[0] for part in parts]
    assert all((ROOT / target).exists() for target in targets if "://" not in target and not target.startswith("#"))
