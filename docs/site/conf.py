"""Configuration of the documentation site: Sphinx with furo and MyST over the pages that a forge shows, too.

The source folder is the root of the repository, so that a link between two Markdown files is the same on a forge and on
the site: ``python -m sphinx -c docs/site . build/docs`` (``make docs``).
"""

import sys
from pathlib import Path

HERE = Path(__file__).parent
sys.path[:0] = [str(HERE), str(HERE.parents[1] / "src")]

from vqkit._version import __version__  # noqa: E402

project = "vqkit"
author = "the authors of vqkit"
project_copyright = "the authors of vqkit, Apache-2.0"
release = version = __version__

extensions = [
    "sphinx.ext.autodoc",
    "sphinx.ext.napoleon",
    "myst_parser",
    "mathml",
    "page_titles",
    "page_language",
    "executed",
    "sounds",
    "arxiv",
    "navigation",
    "repository_files",
    "docstrings",
    "public_names",
    "command_line",
]
root_doc = "docs/README"
source_suffix = {".md": "markdown"}
include_patterns = [
    "README.md",
    "CONTRIBUTING.md",
    "CHANGELOG.md",
    "docs/**",
    "benchmarks/README.md",
    "benchmarks/results/*.md",
]
exclude_patterns = [".*", "build", "dist", "runs", "shared", "src", "tests", "examples", "docs/site", "**/node_modules"]

navigation_pages = [
    "docs/README",
    "docs/quantizers/README",
    "docs/coming-from/README",
    "docs/api/README",
    "docs/results",
]
"""Pages whose links, section by section, are the sidebar of the site."""

_SMALL = {r"minutes=\d+": "steps=60", r"codebook_size=512": "codebook_size=64, code_dim=8, hidden_channels=16"}
_COMMANDS = {r"--steps \d+": "--steps 20", r"--hidden-channels \d+": "--hidden-channels 16"}
_LADDER = {
    r"hidden_channels=32\)  # or": "hidden_channels=16)  # or",
    r"steps=500": "steps=100",
}
executed_pages = {
    "docs/start": {},
    "docs/from-pca-to-vqvae": _LADDER,
    "docs/zh/from-pca-to-vqvae": _LADDER,
    "docs/mathematics": {},
    "docs/mathematics-of-the-vqvae": {},
    "docs/latent-spaces": {},
    "docs/vqvae-in-60-lines": {},
    "docs/pictures": _SMALL,
    "docs/sound": {r"steps=100": "steps=20"},
    "docs/voices": {},
    "docs/vectors": {},
    "docs/semantic-ids": {},
    "docs/tokens": {},
    "docs/compressing": {
        **_SMALL,
        r"minutes=\d+": "steps=4",
        r"for_model\(model\)": "for_model(model, hidden_channels=16)",
    },
    "docs/anomalies": _COMMANDS,
    "docs/science": {},
    "docs/scans": _COMMANDS,
    "docs/satellite-scenes": _COMMANDS,
    "docs/weather": _COMMANDS,
    "docs/archives": {},
    "docs/levels": {},
    "docs/generating": {},
    "docs/extending": {r"downsampling=2\)": "downsampling=2, hidden_channels=8)", r"steps=1000": "steps=2"},
}
"""Pages whose code the build runs, and what it makes smaller."""

myst_heading_anchors = 4
myst_enable_extensions = ["dollarmath"]
myst_fence_as_directive = ["math"]  # as a forge reads it
html_math_renderer = "mathml"
myst_links_external_new_tab = False
suppress_warnings = ["myst.header"]  # a page may begin its headings at any level

nitpicky = True
nitpick_ignore_regex = [
    (r"py:.*", r".*")
]  # types in signatures, most of them of torch; links between pages still count

autodoc_typehints = "signature"
autodoc_typehints_format = "short"
autodoc_member_order = "bysource"
python_use_unqualified_type_names = True
napoleon_numpy_docstring = False
napoleon_use_ivar = True
napoleon_use_rtype = False

html_theme = "furo"
html_title = f"vqkit {__version__}"
html_static_path = ["static"]
html_css_files = ["site.css"]
html_copy_source = False
html_show_sphinx = False
templates_path = ["templates"]
html_additional_pages = {"index": "to_root.html"}
linkcheck_timeout = 20
linkcheck_anchors = False
