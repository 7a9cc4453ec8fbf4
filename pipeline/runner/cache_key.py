"""Builds the cache key of a stage from its version, libraries, config, inputs and what it reads from elsewhere."""

from collections.abc import Mapping

from components.base import Component
from pipeline.metadata.executions import Artifact, CacheKey
from pipeline.runner import libraries


def build(component: Component, *, inputs: Mapping[str, Artifact]) -> CacheKey:
    """Returns what decides the outputs of a component that reads `inputs` (input channel -> artifact)."""
    return CacheKey(
        stage=component.name,
        version=component.version,
        libraries=libraries.versions(component.libraries),
        config=component.resolved_config().deciding(),
        inputs={channel: artifact.digest for channel, artifact in inputs.items() if channel not in component.gates},
        external=dict(component.external_digests()),
    )
