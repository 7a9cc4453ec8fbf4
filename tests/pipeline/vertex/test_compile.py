"""`diptych compile`: the file against KFP's loader, its messages, and what its compiler writes."""

import json
import subprocess
import sys

import pytest
import yaml

from pipeline import cli
from pipeline.vertex import packages
from tests.benchmarks.docs import ROOT
from tests.pipeline.refusals import refusal

COMPILE = ("compile", "--preset", "base", "--data", "gs://b/audioset")


@pytest.fixture
def kfp_installed():
    pytest.importorskip("kfp", reason="kfp is not installed: make install-vertex")


def compiled(tmp_path, *arguments):
    """Returns the pipeline that `diptych compile` writes."""
    file = tmp_path / "pipeline.yaml"
    assert cli.main([*(arguments or COMPILE), "--output", str(file)]) == 0
    return yaml.safe_load(file.read_text())


def container(pipeline, task):
    return pipeline["deploymentSpec"]["executors"][f"exec-{task}"]["container"]


def test_without_kfp_it_says_what_to_install(tmp_path, capsys, monkeypatch):
    monkeypatch.setattr(packages, "_is_installed", lambda module: False)
    message = refusal(capsys, *COMPILE, "-o", tmp_path / "pipeline.yaml")
    assert message == (
        f"diptych: `diptych compile` needs the package kfp: install it with `make install-vertex -C {ROOT}`.\n"
    )
    assert "`diptych submit` needs the package kfp" in refusal(
        capsys, "submit", "x.yaml", "--project", "p", "--region", "r"
    )
    assert not list(tmp_path.iterdir())


def test_a_package_that_is_missing_is_found_missing():
    assert packages._is_installed("json.decoder")
    assert not packages._is_installed("json.decoder.nothing")
    assert not packages._is_installed("no_such_package.module")


def test_the_help_does_not_import_kfp():
    """Nor do the messages about wrong arguments."""
    command = [sys.executable, "-m", "tests.pipeline.imported_modules", "compile", "--help"]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True)
    imported = set(done.stdout.splitlines()[-1].split())
    assert "pipeline.commands.compile_pipeline" in imported
    assert not {"kfp", "google.cloud.aiplatform", "pydantic", "pipeline.dag"} & imported


@pytest.mark.usefixtures("kfp_installed")
class TestFile:
    def test_kfp_loads_it(self, tmp_path):
        from kfp import components

        compiled(tmp_path)
        loaded = components.load_component_from_file(str(tmp_path / "pipeline.yaml"))
        assert loaded.name == "diptych-base"
        assert set(loaded.component_spec.inputs) == {"root", "audio_example_gen_digest"}
        tasks = loaded.pipeline_spec.root.dag.tasks
        assert set(tasks["trainer"].dependent_tasks) == {"audio-example-gen", "example-validator"}

    def test_it_says_what_kfps_compiler_says_of_the_same_steps(self, tmp_path):
        """Apart from the artifact types: KFP's compiler takes only its own and Google's."""
        root = ("--root", "gs://b/root", "--image", "i:1")
        ours = compiled(tmp_path, *COMPILE, *root, "--step", "example_validator.caching=false")
        theirs = yaml.safe_load(_by_kfps_compiler(tmp_path / "kfp.yaml", args_of=ours))
        for pipeline in (ours, theirs):
            for part in pipeline["components"].values():
                for definitions in (part.get("inputDefinitions", {}), part["outputDefinitions"]):
                    for artifact in definitions.get("artifacts", {}).values():
                        artifact["artifactType"] = None
            for parameter in pipeline["root"]["inputDefinitions"]["parameters"].values():
                parameter.pop("description", None)
        for name in ("audio-example-gen", "statistics-gen", "example-validator", "trainer"):
            assert ours["components"][f"comp-{name}"] == theirs["components"][f"comp-{name}"]
            assert container(ours, name) == container(theirs, name)
            assert ours["root"]["dag"]["tasks"][name] == theirs["root"]["dag"]["tasks"][name]
        assert ours["root"]["inputDefinitions"] == theirs["root"]["inputDefinitions"]
        for key in ("schemaVersion", "sdkVersion", "defaultPipelineRoot", "pipelineInfo"):
            assert ours[key] == theirs[key]

    def test_artifacts_have_the_types_of_tfx(self, tmp_path):
        outputs = {
            name: yaml.safe_load(artifact["artifactType"]["instanceSchema"])["title"]
            for part in compiled(tmp_path)["components"].values()
            for name, artifact in part["outputDefinitions"]["artifacts"].items()
        }
        assert outputs == {
            "examples": "tfx.Examples",
            "statistics": "tfx.ExampleStatistics",
            "anomalies": "tfx.ExampleAnomalies",
            "model": "tfx.Model",
            "model_run": "tfx.ModelRun",
            "saved_model": "tfx.Model",
            "infra_blessing": "tfx.InfraBlessing",
            "embeddings": "diptych.Embeddings",
            "evaluation": "tfx.ModelEvaluation",
            "blessing": "tfx.ModelBlessing",
            "pushed_model": "tfx.PushedModel",
        }

    def test_overrides_and_steps_reach_the_containers(self, tmp_path):
        steps = ("--step", "trainer.accelerators=4", "--step", "trainer.retries=0", "--step", "pusher.cpu=2")
        pipeline = compiled(tmp_path, *COMPILE, "--image", "i:1", *steps, "trainer.steps=77")
        trainer = container(pipeline, "trainer")
        assert (trainer["image"], trainer["command"]) == ("i:1", ["diptych", "run-component"])
        assert json.loads(trainer["args"][trainer["args"].index("--exec-properties") + 1])["steps"] == 77
        assert trainer["resources"]["accelerator"]["resourceCount"] == "4"
        assert "retryPolicy" not in pipeline["root"]["dag"]["tasks"]["trainer"]
        assert container(pipeline, "pusher")["resources"]["cpuLimit"] == 2.0
        assert "accelerator" not in container(pipeline, "pusher")["resources"]

    def test_only_what_reads_from_outside_has_a_digest(self, tmp_path):
        pipeline = compiled(tmp_path, "compile", "--preset", "quickstart", "embedder.baselines=yamnet=gs://b/yamnet")
        assert set(pipeline["root"]["inputDefinitions"]["parameters"]) == {"root", "embedder_digest"}
        tasks = pipeline["root"]["dag"]["tasks"]
        assert set(tasks["embedder"]["inputs"]["parameters"]) == {"root", "embedder_digest"}
        assert set(tasks["synthetic-audio-gen"]["inputs"]["parameters"]) == {"root"}

    @pytest.mark.parametrize(
        ("arguments", "message"),
        [
            (["trainer.warmup_steps=400000"], "leaves nothing of trainer.steps=400000"),
            (["trainer.stepz=1"], "trainer.stepz: there is no such field; did you mean trainer.steps?"),
            (["--step", "trainer.cpu=x"], "--step trainer.cpu: must be a whole number"),
            (["--image", ""], "--image '' is no name of an image"),
            (["--image", "a b"], "--image 'a b' is no name of an image"),
            (["--root", "s3://bucket/root"], "--root s3://bucket/root: the steps cannot write there"),
            (["trainer.strategy=tpu"], "trainer.strategy=tpu: a step is one machine without a TPU"),
            (["trainer.strategy=multi_worker"], "trainer.strategy=multi_worker: a step is one machine"),
            (
                ["trainer.tpu=slice"],
                "trainer.tpu=slice: a step is one machine without a TPU: leave trainer.tpu",
            ),
            (["--output", "pipeline.json"], "pipeline.json: KFP reads pipelines from YAML files"),
            (["--output", "/no/such/folder/pipeline.yaml"], "/no/such/folder"),
        ],
    )
    def test_what_does_not_fit_is_refused(self, tmp_path, capsys, arguments, message):
        assert message in refusal(capsys, *COMPILE, "--output", tmp_path / "pipeline.yaml", *arguments)
        assert not list(tmp_path.iterdir())

    def test_a_path_of_this_machine_is_mentioned(self, tmp_path, caplog):
        compiled(tmp_path, "compile", "--preset", "tiny", "--data", str(tmp_path), "pusher.destination=/gcs/b/models")
        assert [record.getMessage().partition("=")[0] for record in caplog.records] == ["audio_example_gen.source"]


def _by_kfps_compiler(file, *, args_of):
    """Returns the first four steps of the preset base as KFP's compiler writes them, written for it by hand."""
    from kfp import compiler, dsl

    def spec(task, **channels):
        """The command line with KFP's own placeholders in the place of ours."""
        words = container(args_of, task)["args"]
        args = list(words)
        for i, word in enumerate(words):
            if word in channels and words[i - 1] in ("--input", "--output"):
                args[i + 1] = channels[word].uri
            elif word == "--root":
                args[i + 1] = channels["root"]
        return dsl.ContainerSpec(image="i:1", command=["diptych", "run-component"], args=args)

    @dsl.container_component
    def audio_example_gen(root: str, audio_example_gen_digest: str, examples: dsl.Output[dsl.Dataset]):
        return spec("audio-example-gen", root=root, examples=examples)

    @dsl.container_component
    def statistics_gen(root: str, examples: dsl.Input[dsl.Dataset], statistics: dsl.Output[dsl.Artifact]):
        return spec("statistics-gen", root=root, examples=examples, statistics=statistics)

    @dsl.container_component
    def example_validator(root: str, statistics: dsl.Input[dsl.Artifact], anomalies: dsl.Output[dsl.Artifact]):
        return spec("example-validator", root=root, statistics=statistics, anomalies=anomalies)

    @dsl.container_component
    def trainer(
        root: str,
        examples: dsl.Input[dsl.Dataset],
        anomalies: dsl.Input[dsl.Artifact],
        model: dsl.Output[dsl.Model],
        model_run: dsl.Output[dsl.Artifact],
    ):
        return spec("trainer", root=root, examples=examples, anomalies=anomalies, model=model, model_run=model_run)

    def on(task, name, cpu, memory, *, retries=2):
        task.set_display_name(name).set_cpu_limit(cpu).set_memory_limit(memory)
        return task.set_retry(retries, backoff_duration="150s", backoff_factor=2.0).set_caching_options(True)

    @dsl.pipeline(name="diptych-base", description="Diptych, base", pipeline_root="gs://b/root")
    def pipeline(root: str = "gs://b/root", audio_example_gen_digest: str = ""):
        generated = audio_example_gen(root=root, audio_example_gen_digest=audio_example_gen_digest)
        examples = on(generated, "AudioExampleGen", "16", "64G").outputs["examples"]
        counted = on(statistics_gen(root=root, examples=examples), "StatisticsGen", "16", "64G")
        validated = example_validator(root=root, statistics=counted.outputs["statistics"])
        on(validated, "ExampleValidator", "4", "16G").set_caching_options(False)
        trained = trainer(root=root, examples=examples, anomalies=validated.outputs["anomalies"])
        on(trained, "Trainer", "96", "680G", retries=5).set_accelerator_type("NVIDIA_TESLA_A100")
        trained.set_accelerator_limit(8)

    compiler.Compiler().compile(pipeline, str(file))
    return file.read_text()
