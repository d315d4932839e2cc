"""The files of sentence-transformers that say how the outputs for the tokens become one embedding."""

from pathlib import Path
from typing import Any

from app.encoders.encoder import FilesError
from app.encoders.error_places import show
from app.encoders.sentences.bert_form import Pooling
from app.encoders.sentences.model_files import ModelFiles
from app.errors import expected_text

MODULES, PROMPTS = "modules.json", "config_sentence_transformers.json"
POOLING = Path("1_Pooling", "config.json")
"""Where MODULES does not say it."""
PARTS = ("Transformer", "Pooling", "Normalize")
"""The modules that are known here. All embeddings are of length 1, with the last or without."""
WAYS = {
    "mean": Pooling.mean,
    "cls": Pooling.first,
    "pooling_mode_mean_tokens": Pooling.mean,
    "pooling_mode_cls_token": Pooling.first,
}
"""By the word for it, and by the option of files before version 6 of sentence-transformers."""
CHOOSE = "choose another model"


def pooling_of(files: ModelFiles) -> Pooling:
    """How the outputs become one embedding: their mean, where no file says it. Raises FilesError for other ways."""
    if (name := files.read_json(PROMPTS).get("default_prompt_name")) is not None:
        expected = expected_text("a model without a default prompt", show(name), CHOOSE)
        raise FilesError(f"{files.folder / PROMPTS}: default_prompt_name: {expected}")
    file = _listed(files)
    config = files.read_json(file or POOLING)
    if not config:
        if file is not None:
            raise FilesError(f"{files.folder / file}: {expected_text('a file', 'none', 'copy the whole folder again')}")
        return Pooling.mean
    options = {name: on for name, on in config.items() if name.startswith("pooling_mode_")}
    given = [name for name, on in options.items() if on]
    given += [config["pooling_mode"]] if "pooling_mode" in config else []
    if not given and not options:
        return Pooling.mean
    ways = {WAYS.get(each) if isinstance(each, str) else None for each in given}
    way = ways.pop() if len(ways) == 1 else None
    if way is None:
        actual = " and ".join(map(show, given)) or "none"
        expected = expected_text("the pooling 'mean' or 'cls'", actual, CHOOSE)
        raise FilesError(f"{files.folder / (file or POOLING)}: {expected}")
    return way


def _listed(files: ModelFiles) -> Path | None:
    """The file of the pooling that MODULES lists. Raises FilesError where it lists a module that is not known here."""
    place = files.folder / MODULES
    modules = files.read(MODULES)
    if modules is None:
        return None
    if not isinstance(modules, list) or not all(map(_is_module, modules)):
        raise FilesError(f"{place}: {expected_text('a list of modules', 'another value', 'copy it again')}")
    for index, module in enumerate(modules):
        kind = module["type"].rpartition(".")[2]
        if kind not in PARTS or (kind == "Transformer") != (index == 0):
            expected = expected_text(f"the modules {', '.join(PARTS)}", show(kind), CHOOSE)
            raise FilesError(f"{place}, [{index}]: {expected}")
    if modules and modules[0]["path"]:
        expected = expected_text("a model in the folder itself", show(modules[0]["path"]), "name that folder")
        raise FilesError(f"{place}, [0].path: {expected}")
    paths = [module["path"] for module in modules if module["type"].endswith(".Pooling")]
    if len(paths) != 1:
        raise FilesError(f"{place}: {expected_text('one Pooling', len(paths), CHOOSE)}")
    return Path(paths[0], "config.json")


def _is_module(value: Any) -> bool:
    return isinstance(value, dict) and all(isinstance(value.get(each), str) for each in ("type", "path"))
