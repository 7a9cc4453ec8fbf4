"""The lock file of the GPU image holds all that TensorFlow needs for GPUs, and every list of packages includes it."""

import importlib.metadata
import json
import re
import shlex
import subprocess

import pytest
from packaging.requirements import Requirement

from tests.benchmarks.docs import ROOT
from tests.deploy import files
from tests.deploy.test_release import load

LOCK = files.DEPLOY / "requirements-gpu.lock"
IMAGES = [file for file in files.DOCKERFILES if "--from=wheel" in file.read_text()]


def pins(*locks):
    """Returns the packages of lock files with their versions, those for other Pythons too."""
    lines = [Requirement(line) for lock in locks for line in lock.read_text().splitlines()]
    return {line.name: str(line.specifier).removeprefix("==") for line in lines}


def installed_by(dockerfile):
    """Returns the lock files that the image is made of. A package that is installed in another way is an error."""
    instructions = files.instructions(dockerfile)
    last_stage = max(number for number, (name, _) in enumerate(instructions) if name == "FROM")
    steps = [step for name, text in instructions[last_stage:] if name == "RUN" for step in text.split("&&")]
    locks = []
    for command in map(shlex.split, steps):
        if command[:2] != ["pip", "install"]:
            continue
        assert "--no-deps" in command
        for word in (word for word in command[2:] if not word.startswith("--")):
            if word != "/tmp/wheels/*.whl":
                assert re.fullmatch(r"/tmp/requirements-\w+\.lock", word), f"{word} is not locked"
                locks.append(files.DEPLOY / word.rpartition("/")[2])
    return locks


def test_all_that_tensorflow_needs_for_cuda_is_locked_and_nothing_else():
    """After another TensorFlow was locked and installed, run `make lock`."""
    requirements = [Requirement(line) for line in importlib.metadata.requires("tensorflow")]
    cuda = [one for one in requirements if one.marker and not one.marker.evaluate({"extra": ""})]
    cuda = [one for one in cuda if one.marker.evaluate({"extra": "and-cuda"})]
    locked = pins(LOCK)
    assert len(cuda) > 5
    assert [str(one) for one in cuda if not one.specifier.contains(locked.get(one.name, "0"))] == []
    assert not set(locked) & set(pins(LOCK.with_name("requirements-image.lock")))
    assert all(name.startswith("nvidia-") for name in locked)


def test_the_images_are_those_that_are_known():
    assert [file.parent.name for file in IMAGES] == ["dataflow", "gpu"]
    assert installed_by(files.DEPLOY / "gpu" / "Dockerfile") == [LOCK.with_name("requirements-image.lock"), LOCK]


@pytest.mark.parametrize("dockerfile", IMAGES, ids=lambda file: file.parent.name)
def test_every_package_of_an_image_is_in_the_lists(dockerfile):
    locks = installed_by(dockerfile)
    sbom = load("sbom")
    handed_on = {name: version for lock in locks for name, version in sbom.locked(lock).items()}

    # An environment without NVIDIA's packages, as `make sbom` uses.
    installed = {"diptych": "0", **sbom.locked(LOCK.with_name("requirements-image.lock"))}
    bill = {"components": [{"bom-ref": name, "name": name, "version": installed[name]} for name in installed]}
    sbom.reduce(bill, sbom.handed_on())
    sbom.add_gpu(bill)
    listed = {component["name"]: component["version"] for component in bill["components"]}
    assert handed_on.items() <= listed.items()

    assert set(pins(*locks)) <= set(load("licenses").locked_packages())

    done = subprocess.run(["make", "--dry-run", "audit"], cwd=ROOT, capture_output=True, text=True, check=True)
    audited = re.search(r"for lock in (.*?);", done.stdout)[1].split()
    assert pins(*locks).items() <= pins(*(ROOT / lock for lock in audited)).items()


def test_the_bill_of_materials_says_what_only_the_gpu_image_holds():
    """Also where these packages are installed, each is in the bill once, with the locked version."""
    sbom = load("sbom")
    bill = {"components": [{"bom-ref": name, "name": name, "version": "1"} for name in ("diptych", "nvidia-nccl-cu12")]}
    sbom.reduce(bill, {"diptych"})
    sbom.add_gpu(bill)
    added = {one["name"]: one for one in bill["components"][1:]}
    assert len(bill["components"]) == 1 + len(pins(LOCK)) == 1 + len(added)
    version = pins(LOCK)["nvidia-nccl-cu12"]
    assert added["nvidia-nccl-cu12"]["purl"] == f"pkg:pypi/nvidia-nccl-cu12@{version}"
    assert added["nvidia-nccl-cu12"]["properties"] == [{"name": "diptych:image", "value": "gpu"}]
    assert "NVIDIA" in json.dumps(added["nvidia-nccl-cu12"]["licenses"])


def test_a_package_of_the_gpu_image_that_nobody_read_is_an_error(monkeypatch, tmp_path):
    licenses = load("licenses")
    assert licenses.license_of("nvidia-nccl-cu12") == "LicenseRef-NVIDIA-Proprietary"
    lock = tmp_path / "requirements-gpu.lock"
    lock.write_text("nvidia-of-tomorrow==1.0\n")
    monkeypatch.setattr(licenses, "GPU_LOCK", lock)
    with pytest.raises(ValueError, match="nvidia-of-tomorrow is only in the GPU image: read its license"):
        licenses.license_of("nvidia-of-tomorrow")
    assert licenses.license_of("not-locked-at-all") is None  # as those for other Pythons


def test_the_page_of_licenses_speaks_of_nvidia_beside_the_gpl():
    page = (files.DEPLOY / "release" / "LICENSES.md").read_text()
    section = " ".join(page.partition("## The GPU image\n")[2].partition("\n## ")[0].split())
    said = ("NVIDIA's own terms", "GPL", "before such an image is passed on")
    assert [words for words in said if words not in section] == []
    for name, version in re.findall(r"(nvidia-[\w-]+) (\d[\d.]*\d)", section):
        assert pins(LOCK)[name] == version
