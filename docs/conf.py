"""The documentation site, made by `.ci/site` of the Markdown, notebooks and docstrings as they lie.

Its sources' root is the repository's, so that links between files are links between pages.
"""

from __future__ import annotations

import re
from importlib import metadata

from docutils import nodes
from latex2mathml.converter import convert

project = "mobileone"
author = "the mobileone developers"
version = release = metadata.version("mobileone")

root_doc = "README"
# What follows the README, in this order; a page that is in none of them is an error.
CONTENTS = {
    "Use": ["checkpoints", "evaluation", "tasks", "training", "fine_tuning", "mobilevit", "onnx"],
    # Every public name is in one of these; tests/package/test_site.py.
    "Reference": ["api", "api_results", "api_more", "command_line"],
    "Why it is right and fast": [
        *("verification", "performance", "results", "low_precision", "convolutions"),
        *("transformers", "tried", "benchmarking"),
    ],
    "Notebooks": ["/notebooks/*"],
    "Develop": ["architecture", "/CONTRIBUTING", "/findings/README", "/CHANGELOG"],
}
include_patterns = ["*.md", "docs/*.md", "notebooks/*.ipynb", "findings/README.md"]

exclude_patterns = [".*", "build", "cpp", "python", "tests"]

extensions = ["myst_nb", "sphinx.ext.autodoc", "sphinx.ext.napoleon", "sphinx_argparse_cli"]
nb_execution_mode = "off"  # notebooks are shown as they were executed
myst_enable_extensions = ["dollarmath"]
myst_heading_anchors = 3

smartquotes = False  # --help is two hyphens

html_theme = "furo"
html_title = f"mobileone {release}"
html_extra_path = ["site/root"]
html_static_path = ["site/static"]
html_css_files = ["site.css"]
html_favicon = "site/static/favicon.svg"
html_use_index = html_domain_indices = False
html_copy_source = False
html_show_sphinx = False
html_math_renderer = "mathml"
pygments_style, pygments_dark_style = "friendly", "monokai"

autodoc_member_order = "bysource"
autodoc_typehints_format = "short"
python_use_unqualified_type_names = True
maximum_signature_line_length = 88
napoleon_numpy_docstring = False
napoleon_use_ivar = True
napoleon_attr_annotations = False

# A name in backquotes is a link if there is one of that name; one of ours must exist. Classes that
# only annotations name may be none of the reference's.
default_role = "py:obj"
nitpicky = True
nitpick_ignore_regex = [(r"py:\w+", r"(?!mobileone\.[\w.]+$).*"), ("py:class", ".*")]


def _math(translator, node):
    """TeX as MathML, which browsers draw themselves: no script from elsewhere."""
    display = "block" if isinstance(node, nodes.math_block) else "inline"
    translator.body.append(convert(node.astext(), display=display))
    raise nodes.SkipNode


def _add_contents(_app, docname: str, source: list[str]) -> None:
    """The table of contents, which the README has no use for elsewhere."""
    if docname == root_doc:
        for caption, pages in CONTENTS.items():
            names = [page if page.startswith("/") else f"/docs/{page}" for page in pages]
            options = [":hidden:", ":glob:", f":caption: {caption}"]
            lines = ["", "```{toctree}", *options, "", *names, "```", ""]
            source[0] += "\n".join(lines)


def _tidy(_app, _kind, _name, _thing, _options, lines: list[str]) -> None:
    """What docstrings say without markup: pages of this site, pybind11's lists of signatures."""
    for number, line in enumerate(lines):
        text = re.sub(r"`?(docs/\w+)\.md`?", r":doc:`/\1`", line)
        lines[number] = re.sub(r"^(\d+\. )(\w+\(.*)", r"\1``\2``", text)


def setup(app) -> None:
    """Sphinx calls it."""
    app.add_html_math_renderer("mathml", (_math, None), (_math, None))
    app.connect("source-read", _add_contents)
    app.connect("autodoc-process-docstring", _tidy)
