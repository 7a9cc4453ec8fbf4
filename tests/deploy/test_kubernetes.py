"""The Kubernetes manifests of deploy/, checked strictly against the schemas of several versions."""

import json
import subprocess

import pytest
import yaml

from components.trainer import devices
from tests.deploy import files

KUBERNETES = ("1.29", "1.33", "1.37")
GPU = files.DEPLOY / "gpu"


def documents(file):
    return list(yaml.safe_load_all(file.read_text()))


def pods():
    """Returns each manifest that makes pods, with its name."""
    return [
        pytest.param(document, id=document["metadata"]["name"])
        for file in files.MANIFESTS
        for document in documents(file)
        if document["kind"] in ("Deployment", "Job")
    ]


@pytest.mark.parametrize("version", KUBERNETES)
@pytest.mark.parametrize("file", files.MANIFESTS, ids=lambda file: f"{file.parts[-3]}/{file.stem}")
def test_a_manifest_fits_the_schema_of_kubernetes(file, version):
    kubernetes_validate = pytest.importorskip("kubernetes_validate", reason="it is in the extra dev")
    for document in documents(file):
        kubernetes_validate.validate(document, version, strict=True)


@pytest.mark.parametrize("document", pods())
def test_the_schema_check_finds_mistakes(document):
    kubernetes_validate = pytest.importorskip("kubernetes_validate", reason="it is in the extra dev")
    document["spec"]["template"]["spec"]["containers"][0]["volumemounts"] = []
    with pytest.raises(kubernetes_validate.ValidationError):
        kubernetes_validate.validate(document, KUBERNETES[-1], strict=True)


@pytest.mark.parametrize("document", pods())
def test_the_pods_have_no_rights(document):
    pod = document["spec"]["template"]["spec"]
    assert pod["securityContext"]["runAsNonRoot"] is True
    assert pod["automountServiceAccountToken"] is False
    (container,) = pod["containers"]
    assert container["securityContext"] == {
        "allowPrivilegeEscalation": False,
        "readOnlyRootFilesystem": True,
        "capabilities": {"drop": ["ALL"]},
    }
    image = container["image"].removesuffix(":latest").removeprefix("diptych-")
    user = pod["securityContext"]["runAsUser"]
    assert f"USER {user}:{user}" in (files.DEPLOY / image / "Dockerfile").read_text()


@pytest.mark.parametrize("document", pods())
def test_the_volumes_of_the_pods_are_there(document):
    pod = document["spec"]["template"]["spec"]
    (container,) = pod["containers"]
    assert {mount["name"] for mount in container["volumeMounts"]} == {volume["name"] for volume in pod["volumes"]}
    claims = {
        claim["metadata"]["name"]
        for file in files.MANIFESTS
        for claim in documents(file)
        if claim["kind"] == "PersistentVolumeClaim"
    }
    assert {v["persistentVolumeClaim"]["claimName"] for v in pod["volumes"] if "persistentVolumeClaim" in v} <= claims


def machines():
    service, job, policy = documents(GPU / "kubernetes" / "machines.yaml")
    return service, job, policy


@pytest.mark.parametrize("index", [0, 3])
def test_each_machine_finds_itself_among_the_others(index, tmp_path, monkeypatch):
    """The command of the pods runs as it stands, with a stand-in for diptych that prints what it got."""
    service, job, _ = machines()
    (container,) = job["spec"]["template"]["spec"]["containers"]
    files.program(tmp_path, "diptych", 'echo "$TF_CONFIG"; echo "$@"')
    environment = {entry["name"]: entry["value"] for entry in container["env"]}
    environment |= {"JOB_COMPLETION_INDEX": str(index), "PATH": f"{tmp_path}:/usr/bin:/bin"}
    command = [*container["command"], *container["args"]]
    printed = subprocess.run(command, env=environment, capture_output=True, text=True, check=True).stdout
    tf_config, arguments = printed.splitlines()

    config = json.loads(tf_config)
    workers = config["cluster"]["worker"]
    assert config["task"] == {"type": "worker", "index": index}
    assert len(workers) == job["spec"]["completions"] == job["spec"]["parallelism"]
    # The name of a pod of an indexed job, under the service that gives pods their names.
    name, port = job["metadata"]["name"], container["ports"][0]["containerPort"]
    assert workers[index] == f"{name}-{index}.{service['metadata']['name']}:{port}"
    assert service["spec"]["clusterIP"] == "None"
    assert job["spec"]["template"]["spec"]["subdomain"] == service["metadata"]["name"]
    assert "trainer.strategy=multi_worker" in arguments
    monkeypatch.setenv("TF_CONFIG", tf_config)
    assert devices.choose_strategy(tpu=devices.LOCAL_TPU) == "multi_worker"


def test_the_machines_belong_together():
    service, job, policy = machines()
    labels = job["spec"]["template"]["metadata"]["labels"]
    assert service["spec"]["selector"] == labels == policy["spec"]["podSelector"]["matchLabels"]
    affinity = job["spec"]["template"]["spec"]["affinity"]["podAntiAffinity"]
    (rule,) = affinity["requiredDuringSchedulingIgnoredDuringExecution"]
    assert rule["labelSelector"]["matchLabels"] == labels
