"""Players in the place of links to sounds: ``[original](images/sound/original.mp3)`` can be heard on the page.

A forge shows such a link as a link. The sound lies in the page itself, so keep it small.
"""

from __future__ import annotations

import base64
import html
from pathlib import Path
from typing import Any

KINDS = {".mp3": "audio/mpeg", ".ogg": "audio/ogg", ".flac": "audio/flac", ".wav": "audio/wav"}


def player(path: Path, words: str) -> str:
    """Return the HTML of a player of a file, with its words."""
    data = base64.b64encode(path.read_bytes()).decode("ascii")
    said = html.escape(words)
    return (
        f'<span class="sound"><audio controls preload="metadata" aria-label="{said}" '
        f'src="data:{KINDS[path.suffix]};base64,{data}"></audio> {said}</span>'
    )


def setup(app: Any) -> dict[str, Any]:
    """Register the transform: before the one of other files."""
    from docutils import nodes
    from sphinx import addnodes
    from sphinx.transforms import SphinxTransform

    class Sounds(SphinxTransform):
        """Take the place of links to sounds."""

        default_priority = 4

        def apply(self, **unused: Any) -> None:
            """See ``SphinxTransform``."""
            for link in list(self.document.findall(addnodes.download_reference)):
                path = Path(self.env.doc2path(self.env.current_document.docname)).parent / link["reftarget"]
                if path.suffix in KINDS and path.is_file():
                    link.replace_self(nodes.raw("", player(path, link.astext()), format="html"))

    app.add_transform(Sounds)
    return {"version": "1", "parallel_read_safe": True}
