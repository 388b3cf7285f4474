"""Tables as sources: Parquet, Arrow and Hugging Face data sets.

Every module here works on Arrow's columns: importing the package raises ``MissingExtraError`` without pyarrow.
"""

from vqkit.deprecation import moved_into
from vqkit.optional import require

require("pyarrow", "tables (Parquet and Arrow files, Hugging Face data sets)")

__getattr__ = moved_into(__name__, "loading")
