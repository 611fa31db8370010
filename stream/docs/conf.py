"""How Sphinx builds the documentation: `make site`. The help of every command is written by its own parser."""

import re
from argparse import ArgumentParser
from collections.abc import Iterator
from importlib import metadata
from pathlib import Path
from typing import Any

from stream.cli import COMMANDS, parser_of

project = "deltabook"
release = version = metadata.version("deltabook")
copyright = "the authors of deltabook, MIT"
extensions = ["myst_parser", "sphinx.ext.autodoc"]
nitpicky = False
default_role = "code"
highlight_language = "none"
myst_enable_extensions = ["colon_fence"]
myst_heading_anchors = 4
autodoc_member_order = "bysource"
autodoc_typehints = "signature"

html_theme = "furo"
html_title = f"deltabook {release}"
html_static_path = ["_static"]
html_css_files = ["site.css"]
html_favicon = "../web/favicon.svg"
html_show_sphinx = False
html_copy_source = False
html_theme_options = {"footer_icons": [], "navigation_with_keys": True}


DRAWINGS = Path(__file__).parent / "explanation"

ELSEWHERE = {
    "../../stream/PROTOCOL.md": "protocol.md",
    "(ERRORS.md)": "(errors.md)",
    "../../benchmarks/RESULTS.md": "results.md",
    "[deploy](../deploy)": "`stream/deploy`",
    "[as a plot](scaling.svg)": "{download}`as a plot <../../../benchmarks/scaling.svg>`",
}
"""Where the links of documents that are included here lead on this site."""


def lead_here(app: Any, path: Any, docname: str, content: list[str]) -> None:
    """Have the links of an included document lead to pages of this site."""
    for link, here in ELSEWHERE.items():
        content[0] = content[0].replace(link, here)


def helps_of(parser: ArgumentParser, heading: str) -> Iterator[str]:
    """What a command says of itself, and what its own commands say."""
    yield f"{heading} {parser.prog}\n\n```none\n{parser.format_help()}```\n"
    for action in parser._actions:
        if isinstance(action.choices, dict):
            for each in action.choices.values():
                yield from helps_of(each, heading + "#")


def tell_commands(app: Any, docname: str, source: list[str]) -> None:
    """Let the page of the command line have the help of every command."""
    if docname == "reference/command-line":
        source[0] += "\n" + "\n".join(helps_of(parser_of(list(COMMANDS)), "##"))


def inline_pictures(app: Any, pagename: str, templatename: str, context: dict[str, Any], doctree: Any) -> None:
    """Put drawings into the page itself, so that they are drawn with its colours."""
    if "body" in context:
        context["body"] = re.sub(r'<img [^>]*_images/([\w-]+\.svg)"[^>]*>', lambda found: (DRAWINGS / found[1]).read_text(), context["body"])


def setup(app: Any) -> None:
    """Sphinx's way in."""
    app.connect("html-page-context", inline_pictures)
    app.connect("source-read", tell_commands)
    app.connect("include-read", lead_here)
