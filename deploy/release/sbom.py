"""Leaves in a list of installed packages what a release hands on, the packages of the images and Diptych: `make sbom`.

It fails if one of them is not installed.
"""

import json
import pathlib
import sys

from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

LOCK = pathlib.Path(__file__).parents[1] / "requirements-image.lock"


def handed_on() -> set[str]:
    """Returns the names of Diptych and of the packages that the images hold for this Python."""
    locked = map(Requirement, LOCK.read_text().splitlines())
    return {"diptych"} | {canonicalize_name(one.name) for one in locked if one.marker is None or one.marker.evaluate()}


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


def main() -> None:
    """Runs the command."""
    file = pathlib.Path(sys.argv[1])
    bill = json.loads(file.read_text())
    reduce(bill, handed_on())
    file.write_text(json.dumps(bill, indent=2) + "\n")


if __name__ == "__main__":
    main()
