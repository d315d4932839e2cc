"""Everything that decides what training on texts produces."""

import shlex
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from app.encoders.sentences.model_files import DEFAULT
from app.training.tables.table_settings import bundle_name, quoted


@dataclass(frozen=True)
class TextSettings:
    """What a user says about texts and their model.

    texts: a path, or a DataFrame
    text, label: the columns
    leave_out: labels that are no classes of their own
    model: the sentence model (`app.encoders.sentences.model_files.find`)
    name: of the bundle (empty: that of the file)
    outer_steps: None: those of the recipe
    source, licence: as in `app.families.text.Text`
    """

    texts: Path | Any
    text: str
    label: str
    leave_out: tuple[str, ...] = ()
    model: str = DEFAULT
    name: str = ""
    seed: int = 0
    outer_steps: int | None = None
    source: str = ""
    licence: str = "unknown"

    @property
    def bundle(self) -> str:
        """The name of the bundle."""
        return self.name or bundle_name(self.texts)

    @property
    def command(self) -> str:
        """The command line that makes the same bundle again."""
        options = {
            "--texts": self.texts.name if isinstance(self.texts, Path) else "FILE",
            "--text": self.text,
            "--label": self.label,
            "--leave-out": ",".join(map(quoted, self.leave_out)),
            "--sentence-model": "" if self.model == DEFAULT else self.model,
            "--name": self.name,
            "--seed": self.seed or "",
            "--outer-steps": self.outer_steps or "",
        }
        words = [str(word) for key, value in options.items() if value != "" for word in (key, value)]
        return shlex.join(["innerloop", "train", *words])
