import os

import pytest

from components import host_memory
from pipeline import tensorflow_settings

NAMES = (
    "TF_CPU_ALLOCATOR_USE_BFC",
    "TF_CPU_BFC_MEM_LIMIT_IN_MB",
    "GCS_READAHEAD_BUFFER_SIZE_BYTES",
    "TF_CPP_MIN_LOG_LEVEL",
)
PHYSICAL_MB = os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE") / 2**20


@pytest.mark.parametrize(
    ("container_limit", "pool_mb"), [(None, 0.9 * PHYSICAL_MB), ("max", 0.9 * PHYSICAL_MB), ("104857600", 90)]
)
def test_the_pool_takes_nine_tenths_of_the_available_memory(monkeypatch, tmp_path, container_limit, pool_mb):
    for name in NAMES:
        monkeypatch.delenv(name, raising=False)
    if container_limit:
        (tmp_path / "memory.max").write_text(f"{container_limit}\n")
        (tmp_path / "memory.current").write_text("0\n")
    monkeypatch.setattr(host_memory, "_CGROUPS", tmp_path)
    tensorflow_settings.apply()
    assert os.environ["TF_CPU_ALLOCATOR_USE_BFC"] == "true"
    assert int(os.environ["TF_CPU_BFC_MEM_LIMIT_IN_MB"]) == pytest.approx(pool_mb, abs=1)


def test_variables_that_are_already_set_stay(monkeypatch):
    for name in NAMES:
        monkeypatch.setenv(name, "0")
    tensorflow_settings.apply()
    assert [os.environ[name] for name in NAMES] == ["0"] * len(NAMES)
