"""Compiles the load generator with the machine's C compiler, once per version.

``GENERATOR=python`` selects the slower one, which needs no compiler.
"""

import hashlib
import os
import shutil
import subprocess
import sys
from functools import lru_cache
from pathlib import Path

CACHE = Path(__file__).resolve().parent.parent / ".cache"
SOURCE = Path(__file__).with_name("generator.c")


@lru_cache(maxsize=1)
def command() -> list[str]:
    """Return the command line of the load generator, compiling it if needed."""
    compiler = shutil.which("cc") or shutil.which("gcc")
    if compiler is None or os.environ.get("GENERATOR") == "python":
        print("using the slower load generator, in Python", flush=True)
        return [sys.executable, "-m", "bench.generator.fallback"]
    version = hashlib.sha256(SOURCE.read_bytes()).hexdigest()[:16]
    program = CACHE / f"generator-{version}"
    if not program.exists():
        CACHE.mkdir(parents=True, exist_ok=True)
        subprocess.run([compiler, "-O2", "-o", program, SOURCE], check=True)
    return [str(program)]
