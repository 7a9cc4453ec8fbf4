"""Leaves in a list of installed packages what a release hands on, the packages of the images and Diptych: `make sbom`.

It fails if one of them is not installed. What only the GPU image holds takes gigabytes and need not be installed: it is
added from its lock file.
"""

import json
import pathlib
import sys

from licenses import license_of
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

LOCK = pathlib.Path(__file__).parents[1] / "requirements-image.lock"
GPU_LOCK = LOCK.with_name("requirements-gpu.lock")


def locked(lock: pathlib.Path) -> dict[str, str]:
    """Returns the names of the packages that a lock file has for this Python, with their versions."""
    lines = map(Requirement, lock.read_text().splitlines())
    here = [one for one in lines if one.marker is None or one.marker.evaluate()]
    return {canonicalize_name(one.name): str(one.specifier).removeprefix("==") for one in here}


def handed_on() -> set[str]:
    """Returns the names of Diptych and of the packages that all images hold for this Python."""
    return {"diptych", *locked(LOCK)}


def reduce(bill: dict, names: set[str]) -> None:
    """Removes all but the packages of these names from a bill of materials of CycloneDX.

    Raises:
        LookupError: Some of them are not in the bill.
    """
    bill["components"] = [one for one in bill["components"] if canonicalize_name(one["name"]) in names]
    if missing := names - {canonicalize_name(one["name"]) for one in bill["components"]}:
        raise LookupError(f"not installed: {', '.join(sorted(missing))}; run make install-gcp")
    kept = {one["bom-ref"] for one in bill["components"]}
    kept |= {bill.get("metadata", {}).get("component", {}).get("bom-ref")}
    bill["dependencies"] = [one for one in bill.get("dependencies", ()) if one["ref"] in kept]
    for one in bill["dependencies"]:
        if "dependsOn" in one:
            one["dependsOn"] = [ref for ref in one["dependsOn"] if ref in kept]


def add_gpu(bill: dict) -> None:
    """Adds what only the GPU image holds to a bill of materials, and says of each that it is only there."""
    for name, version in locked(GPU_LOCK).items():
        component = {
            "bom-ref": f"{name}=={version}",
            "type": "library",
            "name": name,
            "version": version,
            "licenses": [{"license": {"name": license_of(name)}}],
            "purl": f"pkg:pypi/{name}@{version}",
            "properties": [{"name": "diptych:image", "value": "gpu"}],
        }
        bill["components"].append(component)


def main() -> None:
    """Runs the command."""
    file = pathlib.Path(sys.argv[1])
    bill = json.loads(file.read_text())
    reduce(bill, handed_on())
    add_gpu(bill)
    file.write_text(json.dumps(bill, indent=2) + "\n")


if __name__ == "__main__":
    main()
