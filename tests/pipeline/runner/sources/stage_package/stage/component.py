from components.base import ArtifactType, Component


class Stage(Component):
    outputs = {"model": ArtifactType.MODEL}
    code = ("helper_package.helpers",)
