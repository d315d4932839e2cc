"""What is understood of texts, printed before training."""

from app.encoders.label_words import label_words
from app.families.text import Text
from app.families.texts.labelled_texts import MIN_TEXTS

SHOWN = 5
"""Names of labels that a line repeats."""


def text_summary(family: Text) -> str:
    """The texts, the labels of each split, and what is left out or cut."""
    read, splits = family.read, family.splits
    counts = sorted(len(each) for each in read.texts.values())
    lines = [
        f"{sum(counts):,} texts ({family.text}) with {len(counts)} labels ({family.label}), "
        f"{counts[0]} to {counts[-1]} of each",
        *(f"{split}: {len(names)} labels, such as {', '.join(names[:SHOWN])}" for split, names in splits.items()),
    ]
    if read.few:
        few = ", ".join(read.few[:SHOWN])
        lines.append(f"left out: {len(read.few)} labels with fewer than {MIN_TEXTS} texts, such as {few}")
    wordless = [name for names in splits.values() for name in _wordless(names)]
    if wordless:
        lines.append(f"labels without words, whose names are no examples: {', '.join(wordless[:SHOWN])}")
    texts = [text for each in read.texts.values() for text in each]
    if cut := sum(family.encoder.loaded.are_cut(texts)):
        longest = family.encoder.id.max_tokens
        lines.append(f"{cut:,} texts are longer than {longest} tokens: only their beginning is read")
    return "\n".join(lines)


def _wordless(names: list[str]) -> list[str]:
    return [name for name, words in zip(names, label_words(names), strict=True) if words is None]
