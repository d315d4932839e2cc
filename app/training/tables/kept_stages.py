"""The results of stages of training as files, so that interrupted training goes on with the next stage."""

import re
from collections.abc import Iterator, MutableMapping
from pathlib import Path
from time import perf_counter

from safetensors import SafetensorError
from safetensors.torch import load, save

from app.atomic_write import write_atomically
from app.learn.update_rules import Params

ENDING = ".safetensors"
SECONDS = "seconds.txt"
"""The file of the time that the stages have taken so far."""


class KeptStages(MutableMapping[str, Params]):
    """Tensors by name, by the name of a stage: a safetensors file for each, written atomically.

    A file that cannot be read counts as none.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._before, self._started = self._read_seconds(), perf_counter()

    @property
    def seconds(self) -> float:
        """What the stages that are kept have taken, and all time since this object was made.

        The time of a stage that was interrupted does not count, as the stage begins again.
        """
        return self._before + perf_counter() - self._started

    def __getitem__(self, stage: str) -> Params:
        try:
            return load(self._file(stage).read_bytes())
        except (FileNotFoundError, SafetensorError) as error:
            raise KeyError(stage) from error

    def __setitem__(self, stage: str, tensors: Params) -> None:
        self._folder.mkdir(parents=True, exist_ok=True)
        copies = {name: value.detach().cpu().contiguous() for name, value in tensors.items()}
        write_atomically(self._file(stage), save(copies))
        write_atomically(self._folder / SECONDS, f"{self.seconds:.3f}".encode())

    def __delitem__(self, stage: str) -> None:
        self._file(stage).unlink()

    def __iter__(self) -> Iterator[str]:
        return (file.name.removesuffix(ENDING) for file in sorted(self._folder.glob(f"*{ENDING}")))

    def __len__(self) -> int:
        return sum(1 for _ in self)

    def _read_seconds(self) -> float:
        try:
            return float((self._folder / SECONDS).read_text())
        except (FileNotFoundError, ValueError):
            return 0.0

    def _file(self, stage: str) -> Path:
        return self._folder / f"{re.sub('[^A-Za-z0-9]+', '-', stage)}{ENDING}"
