"""The results of stages of training as files, so that interrupted training goes on with the next stage."""

import re
from collections.abc import Iterator, MutableMapping
from pathlib import Path

from safetensors import SafetensorError
from safetensors.torch import load, save

from app.atomic_write import write_atomically
from app.learn.update_rules import Params

ENDING = ".safetensors"


class KeptStages(MutableMapping[str, Params]):
    """Tensors by name, by the name of a stage: a safetensors file for each, written atomically.

    A file that cannot be read counts as none.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def __getitem__(self, stage: str) -> Params:
        try:
            return load(self._file(stage).read_bytes())
        except (FileNotFoundError, SafetensorError) as error:
            raise KeyError(stage) from error

    def __setitem__(self, stage: str, tensors: Params) -> None:
        self._folder.mkdir(parents=True, exist_ok=True)
        copies = {name: value.detach().cpu().contiguous() for name, value in tensors.items()}
        write_atomically(self._file(stage), save(copies))

    def __delitem__(self, stage: str) -> None:
        self._file(stage).unlink()

    def __iter__(self) -> Iterator[str]:
        return (file.name.removesuffix(ENDING) for file in sorted(self._folder.glob(f"*{ENDING}")))

    def __len__(self) -> int:
        return sum(1 for _ in self)

    def _file(self, stage: str) -> Path:
        return self._folder / f"{re.sub('[^A-Za-z0-9]+', '-', stage)}{ENDING}"
