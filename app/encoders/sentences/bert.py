"""BERT as a function of its weights: token numbers to one embedding a sentence.

Devlin et al. 2019, "BERT: Pre-training of Deep Bidirectional Transformers for Language Understanding"; the mean over
the tokens as in Reimers and Gurevych 2019, "Sentence-BERT".
"""

from collections.abc import Mapping, Sequence

import torch
from torch import Tensor, addmm
from torch.nn.functional import gelu, layer_norm, normalize, scaled_dot_product_attention

from app.encoders.sentences.bert_form import BertForm, Pooling

Weights = Mapping[str, Tensor]
"""The tensors of a file of Hugging Face's `BertModel`, by name."""
PARTS = ("query", "key", "value")


def prepared(weights: Weights, form: BertForm) -> Weights:
    """The weights as `embed` takes them.

    Query, key and value of each layer are one projection, which takes one product of matrices. The matrices of layers
    are transposed: products with few rows, those of one sentence, take half of the time then.
    """
    joined = dict(weights)
    for layer in range(form.layers):
        place = f"encoder.layer.{layer}.attention.self"
        for kind in ("weight", "bias"):
            joined[f"{place}.{kind}"] = torch.cat([joined.pop(f"{place}.{part}.{kind}") for part in PARTS])
    for name, weight in joined.items():
        if name.startswith("encoder.layer.") and weight.ndim == 2:
            joined[name] = weight.T.contiguous()
    return joined


@torch.inference_mode()
def embed(
    weights: Weights, form: BertForm, sentences: Sequence[Sequence[int]], pooling: Pooling = Pooling.mean
) -> Tensor:
    """The embeddings of sentences of token numbers, [sentence, width], each of length 1.

    weights: of `prepared`

    Only attention sees padding: all else takes the tokens of all sentences one behind the other. Where all sentences
    have the same length there is none: then a sentence alone takes 6 to 9 % less time.
    """
    lengths = torch.tensor([len(sentence) for sentence in sentences])
    real = torch.arange(int(lengths.max())) < lengths[:, None]
    padding = not bool(real.all())
    sentence, position = real.nonzero(as_tuple=True)
    tokens = torch.tensor([token for each in sentences for token in each])

    def normalised(x: Tensor, name: str) -> Tensor:
        return layer_norm(x, (form.width,), weights[f"{name}.weight"], weights[f"{name}.bias"], form.epsilon)

    def projected(x: Tensor, name: str) -> Tensor:
        return addmm(weights[f"{name}.bias"], x, weights[f"{name}.weight"])

    def attended(x: Tensor, name: str) -> Tensor:
        joined = projected(x, name)
        if padding:
            joined, unpadded = x.new_zeros(*real.shape, 3 * form.width), joined
            joined[real] = unpadded
        by_head = joined.reshape(*real.shape, 3, form.heads, -1)
        query, key, value = by_head.permute(2, 0, 3, 1, 4)
        mask = real[:, None, None] if padding else None
        mixed = scaled_dot_product_attention(query, key, value, attn_mask=mask).transpose(1, 2).flatten(2)
        return mixed[real] if padding else mixed.flatten(0, 1)

    words, places = (weights[f"embeddings.{name}_embeddings.weight"] for name in ("word", "position"))
    first = words[tokens] + places[position] + weights["embeddings.token_type_embeddings.weight"][0]
    x = normalised(first, "embeddings.LayerNorm")
    for layer in range(form.layers):
        name = f"encoder.layer.{layer}"
        mixed = projected(attended(x, f"{name}.attention.self"), f"{name}.attention.output.dense")
        x = normalised(x + mixed, f"{name}.attention.output.LayerNorm")
        wide = gelu(projected(x, f"{name}.intermediate.dense"))
        x = normalised(x + projected(wide, f"{name}.output.dense"), f"{name}.output.LayerNorm")
    if pooling is Pooling.first:
        return normalize(x[position == 0])
    total = x.new_zeros(len(lengths), form.width).index_add_(0, sentence, x)
    return normalize(total / lengths[:, None])
