"""Pages of the lab, in the order of their tabs; a further one is a file here and its line below, or an entry point."""

from vqkit.lab.pages.base import LAB_PAGES, Page
from vqkit.lab.pages.compare import ComparePage
from vqkit.lab.pages.ladder import LadderPage
from vqkit.lab.pages.live import LivePage
from vqkit.lab.pages.prior import PriorPage
from vqkit.lab.pages.tokens import TokensPage

__all__ = ["LAB_PAGES", "ComparePage", "LadderPage", "LivePage", "Page", "PriorPage", "TokensPage"]
