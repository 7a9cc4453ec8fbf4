import contextlib
import os
import pathlib
import pickle
import zipfile

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from components.errors import UserError
from components.importer import torch_file

DATA = pathlib.Path(__file__).parent / "data"  # Torch wrote these files, see make_torch_files.py.
FORMATS = ("zip", "legacy")


@pytest.mark.parametrize("format_name", FORMATS)
@pytest.mark.parametrize("name", ["bare", "panns", "sampler"])
def test_tensors_equal_those_that_torch_reads(name, format_name):
    arrays = torch_file.read_weights(DATA / f"{name}_{format_name}.pth")
    with np.load(DATA / "expected.npz") as expected:
        assert list(arrays) == list(expected)
        for key, array in arrays.items():
            assert array.dtype == expected[key].dtype
            np.testing.assert_array_equal(array, expected[key], strict=True)


class _Malicious:
    """An object that creates the file `marker` when it is unpickled."""

    def __init__(self, marker):
        self.marker = marker

    def __reduce__(self):
        return os.system, (f"touch {self.marker}",)


def _as_legacy(content, path):
    whole = (DATA / "bare_legacy.pth").read_bytes()
    header = whole[: whole.index(b"collections") - 3]  # Everything before the saved object.
    path.write_bytes(header + pickle.dumps(content, protocol=2))


def _as_zip(content, path):
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("archive/data.pkl", pickle.dumps(content, protocol=2))


@pytest.mark.parametrize("write", [_as_zip, _as_legacy])
def test_code_in_a_file_is_named_and_not_run(write, tmp_path):
    marker, path = tmp_path / "ran", tmp_path / "network.pth"
    write({"model": {"conv.weight": _Malicious(marker)}}, path)
    with pytest.raises(UserError, match=r"network.pth holds (posix|nt).system, which is not opened"):
        torch_file.read_weights(path)
    assert not marker.exists()


def test_names_inside_allowed_modules_are_refused_too(tmp_path):
    for module, name in (("torch", "load"), ("torch._utils", "import_module"), ("collections", "namedtuple")):
        with zipfile.ZipFile(tmp_path / "network.pth", "w") as archive:
            archive.writestr("archive/data.pkl", f"c{module}\n{name}\n.".encode())
        with pytest.raises(UserError, match=rf"holds {module}\.{name}, which is not opened"):
            torch_file.read_weights(tmp_path / "network.pth")


@pytest.mark.parametrize("format_name", FORMATS)
def test_a_truncated_file_is_one_sentence(format_name, tmp_path):
    whole, path = (DATA / f"panns_{format_name}.pth").read_bytes(), tmp_path / "network.pth"
    for size in range(0, len(whole) - 1, 7):
        path.write_bytes(whole[:size])
        with pytest.raises(UserError, match=r"network\.pth (is damaged or cut short|was not written by torch)"):
            torch_file.read_weights(path)


@pytest.mark.parametrize("format_name", FORMATS)
@given(data=st.data())
def test_a_damaged_file_is_read_or_refused_in_one_sentence(tmp_path_factory, format_name, data):
    content = bytearray((DATA / f"panns_{format_name}.pth").read_bytes())
    for _ in range(data.draw(st.integers(1, 8))):
        content[data.draw(st.integers(0, len(content) - 1))] = data.draw(st.integers(0, 255))
    path = tmp_path_factory.mktemp("damaged") / "network.pth"
    path.write_bytes(content)
    with contextlib.suppress(UserError):
        arrays = torch_file.read_weights(path)
        # Copying reads every number, so it would crash if an array reached outside its storage.
        assert all(np.array(array).nbytes < 10_000 for array in arrays.values())


@pytest.mark.parametrize("change", [{"offset": 1}, {"strides": (2,)}, {"shape": (4,)}, {"strides": (-1,)}])
def test_a_tensor_never_reaches_outside_its_storage(change):
    storage = torch_file._Storage("0", np.dtype("<f4"))
    tensor = torch_file._Tensor(storage=storage, offset=0, shape=(3,), strides=(1,))._replace(**change)
    with pytest.raises(ValueError, match="not inside 3 numbers"):
        torch_file._array(tensor, bytes(12))


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"<!DOCTYPE html><html>Not found</html>", r"was not written by torch, it begins with b'<!DOCTYPE html>"),
        (b"", "was not written by torch, it begins with b''"),
        (None, "cannot be read \\(No such file"),
    ],
)
def test_a_file_that_torch_did_not_write_is_one_sentence(tmp_path, content, message):
    path = tmp_path / "network.pth"
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(UserError, match=message):
        torch_file.read_weights(path)


def test_archives_and_torch_files_without_weights_are_one_sentence(tmp_path):
    np.savez(tmp_path / "arrays.npz", a=np.zeros(3))
    with pytest.raises(UserError, match=r"arrays.npz was not written by torch, it is an archive of something else"):
        torch_file.read_weights(tmp_path / "arrays.npz")
    with pytest.raises(UserError, match=r"list_zip.pth holds no network's weights, but list"):
        torch_file.read_weights(DATA / "list_zip.pth")
    with pytest.raises(UserError, match=r"holds torch.BFloat16Storage, which is not opened"):
        torch_file.read_weights(DATA / "bfloat16_legacy.pth")
    with pytest.raises(UserError, match="cannot be read \\(Is a directory"):
        torch_file.read_weights(tmp_path)
