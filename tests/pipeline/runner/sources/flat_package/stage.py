from components.base import ArtifactType, Component


class Stage(Component):
    outputs = {"model": ArtifactType.MODEL}
