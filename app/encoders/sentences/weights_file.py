"""Reads the weights of a BERT, and checks that they are those of its form."""

from collections.abc import Iterator, Mapping
from pathlib import Path

from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import Tensor

from app.encoders.encoder import FilesError
from app.encoders.sentences.bert_form import BertForm
from app.errors import cause_text, expected_text

COPY = "copy the file again: it is cut off, or only names the file of Git LFS"
CHOOSE = "choose another model"


def read_weights(file: Path, form: BertForm) -> Mapping[str, Tensor]:
    """The tensors of a BERT as float32, by name. Raises FilesError where the file lacks one, or has another form."""
    try:
        tensors = load_file(file)
    except (SafetensorError, OSError) as error:
        reason = cause_text(error) if isinstance(error, OSError) else f'"{" ".join(str(error).split())}"'
        raise FilesError(f"{file}: {expected_text('weights in safetensors', reason, COPY)}") from error
    kept = {}
    for name, shape in _shapes(form, tensors):
        tensor = tensors.get(name)
        if tensor is None:
            raise FilesError(f"{file}: {expected_text(f'the tensor {name} of a BERT', 'none', CHOOSE)}")
        if tensor.shape != shape or not tensor.is_floating_point():
            actual = f"{str(tensor.dtype).removeprefix('torch.')} {list(tensor.shape)}"
            expected = expected_text(f"numbers {list(shape)}, as config.json says", actual, "copy both files again")
            raise FilesError(f"{file}, {name}: {expected}")
        kept[name] = tensor.float()
        if not kept[name].isfinite().all():
            raise FilesError(f"{file}, {name}: {expected_text('finite numbers', 'others', CHOOSE)}")
    return kept


def _shapes(form: BertForm, tensors: Mapping[str, Tensor]) -> Iterator[tuple[str, tuple[int, ...]]]:
    """The names and shapes of what `bert.embed` takes. Two sizes are those that the file has, as any will do."""
    width = form.width
    yield "embeddings.word_embeddings.weight", (form.tokens, width)
    yield "embeddings.position_embeddings.weight", (form.positions, width)
    yield "embeddings.token_type_embeddings.weight", (_rows(tensors, "embeddings.token_type_embeddings.weight"), width)
    yield from _both("embeddings.LayerNorm", width)
    for layer in range(form.layers):
        place = f"encoder.layer.{layer}"
        wide = _rows(tensors, f"{place}.intermediate.dense.weight")
        for part in ("self.query", "self.key", "self.value", "output.dense"):
            yield from _both(f"{place}.attention.{part}", width, width)
        yield from _both(f"{place}.attention.output.LayerNorm", width)
        yield from _both(f"{place}.intermediate.dense", wide, width)
        yield from _both(f"{place}.output.dense", width, wide)
        yield from _both(f"{place}.output.LayerNorm", width)


def _both(name: str, outputs: int, *inputs: int) -> Iterator[tuple[str, tuple[int, ...]]]:
    yield f"{name}.weight", (outputs, *inputs)
    yield f"{name}.bias", (outputs,)


def _rows(tensors: Mapping[str, Tensor], name: str) -> int:
    """The rows of a tensor, at least 1: `read_weights` refuses what has none."""
    tensor = tensors.get(name)
    return max(1, len(tensor)) if tensor is not None and tensor.ndim else 1
