"""The page's colours: text can be read on every ground that it stands on, by the measure of WCAG 2."""

import re
from itertools import product
from pathlib import Path

import pytest

import stream

SHEET = (Path(stream.__path__[0]) / "web" / "style.css").read_text()
THEMES = [dict(re.findall(r"--([\w-]+): (#\w+);", theme)) for theme in re.findall(r":root \{(.+?)\}", SHEET, re.DOTALL)]
ENOUGH = 4.5
"""The contrast that small text needs."""

SEEN = [
    *product(("text", "dim", "buy", "sell", "accent"), ("panel", "ground")), *product(("text", "buy"), ("buy-bar", "buy-flash")),
    *product(("text", "sell"), ("sell-bar", "sell-flash")), ("on-accent", "accent"), ("panel", "buy"), ("panel", "sell"),
]


def luminance(colour: str) -> float:
    """How bright a colour like #abc or #aabbcc is, from 0 to 1."""
    digits = colour[1:] if len(colour) == 7 else "".join(digit * 2 for digit in colour[1:])
    parts = [int(digits[i : i + 2], 16) / 255 for i in (0, 2, 4)]
    red, green, blue = (part / 12.92 if part <= 0.04045 else ((part + 0.055) / 1.055) ** 2.4 for part in parts)
    return 0.2126 * red + 0.7152 * green + 0.0722 * blue


@pytest.mark.parametrize("theme", THEMES, ids=["light", "dark"])
@pytest.mark.parametrize(("text", "ground"), SEEN)
def test_text_can_be_read(theme: dict[str, str], text: str, ground: str) -> None:
    darker, brighter = sorted((luminance(theme[text]), luminance(theme[ground])))
    assert (brighter + 0.05) / (darker + 0.05) >= ENOUGH
