import gzip
from pathlib import Path

import numpy as np
import pytest

from app.errors import DataError
from app.training.tables.pharmacokinetics import SO_FAR, TARGET, TASK, read_samples
from service_tests.processes import DATA

pytest.importorskip("pandas")


def test_the_amount_of_a_row_is_infused_after_it(tmp_path: Path) -> None:
    rows = ["ID,Subject,Time,conc,Rate,Amt,Age,Sex,Ht,Wt,BSA,LBM"]
    measured = ((0, "", 15), (1.5, 2.5, 5), (2, 0, 5), (2.5, 3, 0))
    rows += [f"1,1,{time},{conc},10,{amount},30,Male,170,70,1.8,56" for time, conc, amount in measured]
    rows += ["2,2,0,4,10,7,40,Female,160,60,1.7,45"]
    (tmp_path / "remifentanil.csv.gz").write_bytes(gzip.compress("\n".join(rows).encode()))
    samples = read_samples(tmp_path)
    assert samples[TASK].tolist() == [1, 1, 2]
    assert samples[SO_FAR].tolist() == [15, 25, 0]
    np.testing.assert_allclose(samples[TARGET], np.log([2.5, 3, 4]))


def test_without_the_file(tmp_path: Path) -> None:
    with pytest.raises(
        DataError, match=r"--data: expected a folder with remifentanil.csv.gz, got .*: download https://"
    ):
        read_samples(tmp_path)


def test_all_samples_of_the_data_set() -> None:
    if not (DATA / "panels/remifentanil.csv.gz").exists():
        pytest.skip("https://vincentarelbundock.github.io/Rdatasets/csv/nlme/Remifentanil.csv has the table")
    samples = read_samples(DATA / "panels")
    assert (len(samples), samples[TASK].nunique()) == (1_992, 65)
    assert (samples[SO_FAR] >= 0).all()
