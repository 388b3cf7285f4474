"""Tables as sources: Parquet, Arrow and Hugging Face data sets.

Every module here works on Arrow's columns: importing the package raises ``MissingExtraError`` without pyarrow.
"""

from vqkit.optional import require

require("pyarrow", "tables (Parquet and Arrow files, Hugging Face data sets)")
