"""The files of deploy/serving, checked against each other and against the schemas of TensorFlow Serving."""

import re

import pytest
import yaml
from google.protobuf import descriptor_pb2, descriptor_pool, message_factory, text_format, wrappers_pb2
from tensorflow_serving.config import model_server_config_pb2

from tests.benchmarks.docs import ROOT

FOLDER = ROOT / "deploy" / "serving"
MANIFESTS = sorted((FOLDER / "kubernetes").glob("*.yaml"))


def manifest(name):
    return yaml.safe_load((FOLDER / "kubernetes" / f"{name}.yaml").read_text())


def test_the_manifests_belong_together():
    documents = [yaml.safe_load(file.read_text()) for file in MANIFESTS]
    assert {document["kind"] for document in documents} == {
        "Deployment",
        "Service",
        "HorizontalPodAutoscaler",
        "PodDisruptionBudget",
        "NetworkPolicy",
        "PersistentVolumeClaim",
    }
    labels = {"app.kubernetes.io/name": "diptych"}
    deployment = manifest("deployment")
    pod = deployment["spec"]["template"]
    assert pod["metadata"]["labels"] == labels == deployment["spec"]["selector"]["matchLabels"]
    assert manifest("service")["spec"]["selector"] == labels
    assert manifest("disruptions")["spec"]["selector"]["matchLabels"] == labels
    assert manifest("network")["spec"]["podSelector"]["matchLabels"] == labels
    target = manifest("autoscaler")["spec"]["scaleTargetRef"]
    assert (target["kind"], target["name"]) == ("Deployment", deployment["metadata"]["name"])
    claims = [volume.get("persistentVolumeClaim", {}).get("claimName") for volume in pod["spec"]["volumes"]]
    assert manifest("models")["metadata"]["name"] in claims
    (container,) = pod["spec"]["containers"]
    ports = {port["name"] for port in container["ports"]}
    assert {port["targetPort"] for port in manifest("service")["spec"]["ports"]} == ports
    for probe in ("startupProbe", "readinessProbe", "livenessProbe"):
        (how,) = [value for value in container[probe].values() if isinstance(value, dict)]
        assert how["port"] in ports


@pytest.mark.parametrize("name", ["models", "models-with-labels"])
def test_the_models_fit_the_schema_of_tensorflow_serving(name):
    text = (FOLDER / f"{name}.config").read_text()
    config = text_format.Parse(text, model_server_config_pb2.ModelServerConfig())
    (model,) = config.model_config_list.config
    assert (model.name, model.base_path, model.model_platform) == ("diptych", "/models/diptych", "tensorflow")
    mount = manifest("deployment")["spec"]["template"]["spec"]["containers"][0]["volumeMounts"][0]
    assert mount == {"name": "models", "mountPath": model.base_path, "readOnly": True}
    policy = model.model_version_policy
    if name == "models":
        assert policy.latest.num_versions == 2
    else:
        assert set(model.version_labels.values()) <= set(policy.specific.versions)
        assert set(model.version_labels) == {"stable", "canary"}


def test_the_batching_parameters_fit_the_schema_of_tensorflow_serving():
    """TensorFlow Serving's package lacks the schema, so its fields are repeated here."""
    config = text_format.Parse((FOLDER / "batching.config").read_text(), _batching_parameters())
    assert config.max_batch_size.value == 32
    assert not config.pad_variable_length_inputs


def _batching_parameters():
    """Returns a message like `BatchingParameters` of tensorflow_serving/.../session_bundle_config.proto."""
    field = descriptor_pb2.FieldDescriptorProto
    file = descriptor_pb2.FileDescriptorProto(
        name="batching.proto", package="test", syntax="proto3", dependency=["google/protobuf/wrappers.proto"]
    )
    message = file.message_type.add(name="BatchingParameters")
    names = ("max_batch_size", "batch_timeout_micros", "max_enqueued_batches", "num_batch_threads")
    for number, name in enumerate(names, 1):
        message.field.add(
            name=name,
            number=number,
            type=field.TYPE_MESSAGE,
            type_name=".google.protobuf.Int64Value",
            label=field.LABEL_OPTIONAL,
        )
    message.field.add(name="allowed_batch_sizes", number=6, type=field.TYPE_INT64, label=field.LABEL_REPEATED)
    message.field.add(name="pad_variable_length_inputs", number=7, type=field.TYPE_BOOL, label=field.LABEL_OPTIONAL)
    pool = descriptor_pool.DescriptorPool()
    pool.AddSerializedFile(wrappers_pb2.DESCRIPTOR.serialized_pb)
    pool.Add(file)
    return message_factory.GetMessageClass(pool.FindMessageTypeByName("test.BatchingParameters"))()


def test_the_image_has_all_files_that_its_command_names():
    dockerfile = (FOLDER / "Dockerfile").read_text()
    copied = re.search(r"^COPY (.+) /etc/diptych/$", dockerfile, re.MULTILINE)[1].split()
    assert all((FOLDER / name).is_file() for name in copied)
    assert set(re.findall(r"/etc/diptych/([\w.-]+)", dockerfile)) <= set(copied)
