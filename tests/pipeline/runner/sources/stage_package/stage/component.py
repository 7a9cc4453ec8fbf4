from components.base import ArtifactType, Component


class Stage(Component):
    outputs = {"model": ArtifactType.MODEL}
    executor = "stage_package.stage.executor"
