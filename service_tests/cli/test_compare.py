from service_tests.cli.commands import innerloop


def test_compare_prints_a_row_an_algorithm() -> None:
    options = ["--algorithms", "maml,ridge", "--outer-steps", "20", "--eager", "--set", "validation_tasks=10"]
    result = innerloop("compare", "linear", *options)
    assert result.returncode == 0, result.stdout + result.stderr
    for text in ("maml: ", "ridge: ", "20 outer steps of 100 tasks", "paired by task", "ms per task"):
        assert text in " ".join(result.stdout.split())
