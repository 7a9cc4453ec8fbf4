import os

import pytest

from pipeline import tensorflow_settings

NAMES = ("TF_CPU_ALLOCATOR_USE_BFC", "TF_CPU_BFC_MEM_LIMIT_IN_MB", "TF_CPP_MIN_LOG_LEVEL")
PHYSICAL_MB = os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE") / 2**20


@pytest.mark.parametrize(
    ("allowed", "limit"), [(None, 0.9 * PHYSICAL_MB), ("max", 0.9 * PHYSICAL_MB), ("104857600", 90)]
)
def test_the_pool_may_have_what_memory_there_is(monkeypatch, tmp_path, allowed, limit):
    for name in NAMES:
        monkeypatch.delenv(name, raising=False)
    file = tmp_path / "memory.max"
    if allowed:
        file.write_text(f"{allowed}\n")
    monkeypatch.setattr(tensorflow_settings, "_CONTAINER", file)
    tensorflow_settings.apply()
    assert os.environ["TF_CPU_ALLOCATOR_USE_BFC"] == "true"
    assert int(os.environ["TF_CPU_BFC_MEM_LIMIT_IN_MB"]) == pytest.approx(limit, abs=1)


def test_what_the_environment_says_stays(monkeypatch):
    for name in NAMES:
        monkeypatch.setenv(name, "0")
    tensorflow_settings.apply()
    assert [os.environ[name] for name in NAMES] == ["0", "0", "0"]
