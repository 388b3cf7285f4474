"""No value outside its bound, in 10,000 random fields: gaps, constants, huge ranges, denormals, every type.

    python benchmarks/bounded_fuzz.py --json results.json

``--quick``: 300 fields. Exit status 1 where a value is outside.
"""

from __future__ import annotations

import argparse
import json
import sys
import time
from pathlib import Path

import numpy as np

sys.path.insert(0, str(Path(__file__).parent.parent))
from tests.codec.bounded_fields import random_field, violations


def main() -> None:
    """Try them all."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--fields", type=int, default=10_000)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--quick", action="store_true", help="300 fields")
    parser.add_argument("--json", type=Path)
    arguments = parser.parse_args()
    count = 300 if arguments.quick else arguments.fields
    start, values, wrong = time.perf_counter(), 0, []
    for number in range(count):
        field, bounds, kind = random_field(np.random.default_rng([arguments.seed, number]))
        values += field.size
        if violations(field, bounds, kind):
            wrong.append(number)
    found = {"fields": count, "seed": arguments.seed, "values": values, "fields_outside": wrong}
    print(f"{count:,} fields, {values:,} values, {len(wrong)} fields with a value outside")
    print(f"{time.perf_counter() - start:.0f} s")
    if arguments.json is not None:
        arguments.json.write_text(json.dumps(found, indent=1) + "\n", encoding="utf-8")
    sys.exit(bool(wrong))


if __name__ == "__main__":
    main()
