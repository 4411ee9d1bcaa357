"""Estimates the compressed size of the image that Fargate pulls before a task can start.

No container engine is needed: the layers are built as the Dockerfile would build them, and the size
of the base image is an assumption. `make build` fails above the limit.

python benchmarks/media/image_size.py .build/packages
"""

import argparse
import io
import sys
import tarfile
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
MB = 1_000_000

BASE_MB = 46.0
"""Assumed size of python:3.13-slim for arm64 (Debian and Python), close to what the registry
lists."""
CODE = ("shared/phonebridge", "media_container/media_bridge")
LIMIT_MB = 150.0
"""Starting a task takes about 90 s with an image of 800 MB, of which the pull is 37 s."""


def layer_mb(*folders: Path) -> float:
    """Size of these folders as one gzipped layer."""
    layer = io.BytesIO()
    with tarfile.open(fileobj=layer, mode="w:gz", compresslevel=6) as archive:
        for folder in folders:
            archive.add(folder, folder.name)
    return layer.tell() / MB


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument(
        "packages", type=Path, help="folder with the packages that pip installed for the image"
    )
    packages = layer_mb(parser.parse_args().packages)
    code = layer_mb(*(ROOT / folder for folder in CODE))
    total = BASE_MB + packages + code
    print(
        f"image, compressed: {total:.0f} MB = {BASE_MB:.0f} base (assumed)"
        f" + {packages:.1f} packages + {code:.1f} code; limit {LIMIT_MB:.0f}"
    )
    if total > LIMIT_MB:
        sys.exit("the image is too large: look for a package that has grown")


if __name__ == "__main__":
    main()
