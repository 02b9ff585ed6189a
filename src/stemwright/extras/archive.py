"""A zip of everything that was written for a song."""

from __future__ import annotations

import os
import zipfile
from collections.abc import Iterable
from pathlib import Path

from stemwright.extras.material import whole_file

_PACKED = (".rpp", ".html")  # sound is compressed already


def write_archive(path: Path, files: Iterable[Path]) -> None:
    """Writes `path` with the files, by their paths below the folder that holds them all."""
    files = list(files)
    top = os.path.commonpath([file.parent for file in files]) if files else path.parent
    with whole_file(path) as out, zipfile.ZipFile(out, "w", zipfile.ZIP_STORED) as archive:
        for file in files:
            packing = zipfile.ZIP_DEFLATED if file.suffix in _PACKED else zipfile.ZIP_STORED
            archive.write(file, file.relative_to(top), packing)
