"""Formats of token shards: what a trainer reads."""

from vqkit.tokens.formats.base import TOKEN_FORMATS, TokenFormat, token_format
from vqkit.tokens.formats.datatrove import DatatroveFormat
from vqkit.tokens.formats.flat import FlatBinaryFormat
from vqkit.tokens.formats.jsonl import JsonLinesFormat
from vqkit.tokens.formats.llamagen import LlamaGenFormat
from vqkit.tokens.formats.megatron import MegatronFormat
from vqkit.tokens.formats.npy import NpyFormat
from vqkit.tokens.formats.parquet import ParquetFormat
from vqkit.tokens.formats.tensors import SafetensorsFormat
from vqkit.tokens.formats.webdataset import WebDatasetFormat

__all__ = [
    "TOKEN_FORMATS",
    "DatatroveFormat",
    "FlatBinaryFormat",
    "JsonLinesFormat",
    "LlamaGenFormat",
    "MegatronFormat",
    "NpyFormat",
    "ParquetFormat",
    "SafetensorsFormat",
    "TokenFormat",
    "WebDatasetFormat",
    "token_format",
]
