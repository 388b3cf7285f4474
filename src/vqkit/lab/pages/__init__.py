"""Pages of the lab; a further one is a file here and its name below, or an entry point of another package."""

from vqkit.lab.pages.base import LAB_PAGES, Page
from vqkit.lab.pages.codebook import CodebookPage
from vqkit.lab.pages.compare import ComparePage
from vqkit.lab.pages.ladder import LadderPage
from vqkit.lab.pages.live import LivePage
from vqkit.lab.pages.prior import PriorPage
from vqkit.lab.pages.runs import RunsPage
from vqkit.lab.pages.tokens import TokensPage

__all__ = [
    "LAB_PAGES",
    "CodebookPage",
    "ComparePage",
    "LadderPage",
    "LivePage",
    "Page",
    "PriorPage",
    "RunsPage",
    "TokensPage",
]
