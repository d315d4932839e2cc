from xml.etree import ElementTree

from app.training.svg import Line, Plot, svg


def test_it_is_an_svg_with_all_that_was_given() -> None:
    lines = [Line("a < b", [0, 1], [2, 3], "#111", band=[0.1, 9.0]), Line("dots", [0.5], [2.5], "#222", dots=True)]
    text = svg([Plot("title", "x", "y", lines), Plot("flat", "x", "y", [Line("one", [1], [1], "#333")])])
    root = ElementTree.fromstring(text)
    assert "nan" not in text
    texts = [element.text for element in root.iter() if element.tag.endswith("text")]
    assert {"title", "flat", "a < b", "dots", "one"} <= set(texts)
