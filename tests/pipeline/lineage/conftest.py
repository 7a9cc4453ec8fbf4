import pytest

from tests.pipeline.runner import chain, stages


@pytest.fixture(scope="module")
def root(tmp_path_factory):
    """A root with three runs: a model that is not blessed, one that is, and again the config of the first."""
    root = tmp_path_factory.mktemp("root")
    for seed in (1, 3, 1):
        stages.run(root, chain.build(seed))
    return root
