"""No test reaches the network, or the cache of the person who runs it: read when packages are first imported."""

import atexit
import os
import shutil
import tempfile

os.environ["HF_HUB_OFFLINE"] = "1"
os.environ["HF_DATASETS_OFFLINE"] = "1"
os.environ["VQKIT_CACHE"] = tempfile.mkdtemp(prefix="vqkit-tests-")
atexit.register(shutil.rmtree, os.environ["VQKIT_CACHE"], ignore_errors=True)
