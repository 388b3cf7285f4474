"""Pages of the lab; a further one is a file here and its name below, or an entry point of another package."""

from vqkit.lab.pages.base import LAB_PAGES, Page
from vqkit.lab.pages.codebook import CodebookPage
from vqkit.lab.pages.compare import ComparePage
from vqkit.lab.pages.runs import RunsPage
from vqkit.lab.pages.tokens import TokensPage

__all__ = ["LAB_PAGES", "CodebookPage", "ComparePage", "Page", "RunsPage", "TokensPage"]
