"""Line plots as SVG, without a plotting library, because training also runs on machines that have none."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from html import escape

WIDTH, HEIGHT, MARGIN = 460, 320, 46
STYLE = (
    "text{font:12px sans-serif;text-anchor:middle;fill:#333}.title{font-weight:bold}"
    ".y{text-anchor:end}.legend{text-anchor:start}.frame{fill:none;stroke:#ccc}"
)


@dataclass(frozen=True)
class Line:
    """A series: points joined by a line, or dots alone. `band`: the half width of a band around y."""

    label: str
    x: Sequence[float]
    y: Sequence[float]
    color: str
    dots: bool = False
    band: Sequence[float] = ()


@dataclass(frozen=True)
class Plot:
    """One pair of axes with its series."""

    title: str
    x_label: str
    y_label: str
    lines: Sequence[Line]


def svg(plots: Sequence[Plot]) -> str:
    """The plots side by side, as the text of an SVG file."""
    width = WIDTH * len(plots)
    head = f'<svg xmlns="http://www.w3.org/2000/svg" width="{width}" height="{HEIGHT}" viewBox="0 0 {width} {HEIGHT}">'
    parts = [head, f"<style>{STYLE}</style>", '<rect width="100%" height="100%" fill="white"/>']
    for column, plot in enumerate(plots):
        parts += [f'<g transform="translate({WIDTH * column},0)">', *_draw(plot), "</g>"]
    return "\n".join([*parts, "</svg>\n"])


def _draw(plot: Plot) -> Iterable[str]:
    low_x, high_x = _range([x for line in plot.lines for x in line.x])
    low_y, high_y = _range([y for line in plot.lines for y in line.y])

    def across(x: float) -> float:
        return MARGIN + (x - low_x) / (high_x - low_x) * (WIDTH - 2 * MARGIN)

    def down(y: float) -> float:
        inside = min(max(y, low_y), high_y)
        return HEIGHT - MARGIN - (inside - low_y) / (high_y - low_y) * (HEIGHT - 2 * MARGIN)

    def points(pairs: Iterable[tuple[float, float]]) -> str:
        return " ".join(f"{across(x):.1f},{down(y):.1f}" for x, y in pairs)

    frame = f'width="{WIDTH - 2 * MARGIN}" height="{HEIGHT - 2 * MARGIN}" class="frame"'
    yield f'<rect x="{MARGIN}" y="{MARGIN}" {frame}/>'
    yield _text(WIDTH / 2, 18, plot.title, "title")
    yield _text(WIDTH / 2, HEIGHT - 8, plot.x_label)
    yield f'<g transform="translate(12,{HEIGHT / 2}) rotate(-90)">{_text(0, 0, plot.y_label)}</g>'
    for x in (low_x, high_x):
        yield _text(across(x), HEIGHT - MARGIN + 16, f"{x:.3g}")
    for y in (low_y, high_y):
        yield _text(MARGIN - 5, down(y) + 4, f"{y:.3g}", "y")
    legend = MARGIN
    for line in plot.lines:
        pairs = list(zip(line.x, line.y, strict=True))
        if line.band:
            triples = list(zip(line.x, line.y, line.band, strict=True))
            outline = [(x, y + half) for x, y, half in triples] + [(x, y - half) for x, y, half in reversed(triples)]
            yield f'<polygon points="{points(outline)}" fill="{line.color}" opacity="0.2"/>'
        if line.dots:
            yield from (
                f'<circle cx="{across(x):.1f}" cy="{down(y):.1f}" r="3.5" fill="{line.color}"/>' for x, y in pairs
            )
        else:
            yield f'<polyline points="{points(pairs)}" fill="none" stroke="{line.color}" stroke-width="2"/>'
        yield f'<circle cx="{legend + 4}" cy="34" r="4" fill="{line.color}"/>'
        yield _text(legend + 12, 38, line.label, "legend")
        legend += 28 + 7 * len(line.label)


def _range(values: Sequence[float]) -> tuple[float, float]:
    low, high = min(values), max(values)
    return (low, high) if high > low else (low - 1, high + 1)


def _text(x: float, y: float, content: str, css: str = "") -> str:
    return f'<text x="{x:.1f}" y="{y:.1f}" class="{css}">{escape(content)}</text>'
