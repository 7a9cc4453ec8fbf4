import hashlib
import os
import pwd

import pytest
import tensorflow as tf
from apache_beam.io import localfilesystem
from etils import epath

from beam_jobs import google_client, storage
from tests import disks
from tests.bucket import Bucket
from tests.corpora import ODD_NAME


class Remote:
    """A path in a bucket, with what publishing needs. The file lies on this machine; `copied` counts the downloads."""

    def __init__(self, path, scheme="bucket"):
        self.path = epath.Path(path)
        self.scheme = scheme
        self.copied = 0
        self.exists = self.path.exists
        self.stat = self.path.stat

    def __str__(self):
        return f"{self.scheme}://{self.path}"

    def copy(self, target):
        self.copied += 1
        self.path.copy(target.path)


class BeamBucket(localfilesystem.LocalFileSystem):
    """A storage service that Beam knows. Its files lie on this machine."""

    @classmethod
    def scheme(cls):
        return "bucket"

    def copy(self, sources, targets):
        super().copy(self._local(sources), self._local(targets))

    def _local(self, names):
        return [name.removeprefix("bucket://") for name in names]


class TestPublishing:
    @pytest.fixture
    def source(self, tmp_path):
        (tmp_path / "work").write_bytes(b"a shard")
        return Remote(tmp_path / "work")

    def test_a_service_copies_its_own_files(self, tmp_path, source):
        storage.publish_file(source, Remote(tmp_path / "out"), size=7)
        assert (tmp_path / "out").read_bytes() == b"a shard"
        assert not source.copied

    @pytest.mark.parametrize(("from_scheme", "to_scheme"), [("strange", "strange"), ("bucket", "strange")])
    def test_this_machine_copies_if_no_service_can(self, tmp_path, source, from_scheme, to_scheme):
        source.scheme = from_scheme
        storage.publish_file(source, Remote(tmp_path / "out", to_scheme), size=7)
        assert (tmp_path / "out").read_bytes() == b"a shard"
        assert source.copied == 1

    def test_a_target_of_the_right_size_is_kept(self, tmp_path, source):
        (tmp_path / "out").write_bytes(b"A SHARD")
        storage.publish_file(source, Remote(tmp_path / "out"), size=7)
        assert (tmp_path / "out").read_bytes() == b"A SHARD"
        (tmp_path / "out").write_bytes(b"A SH")
        storage.publish_file(source, Remote(tmp_path / "out"), size=7)
        assert (tmp_path / "out").read_bytes() == b"a shard"

    def test_a_local_file_is_linked(self, tmp_path, source):
        storage.publish_file(source.path, epath.Path(tmp_path / "out"), size=7)
        assert os.path.samefile(tmp_path / "work", tmp_path / "out")

    def test_a_local_file_is_copied_to_another_file_system_and_stays(self, tmp_path, source):
        with disks.small(tmp_path / "disk", size="1m") as disk:
            storage.publish_file(source.path, epath.Path(disk / "out"), size=7)
            assert (disk / "out").read_bytes() == (tmp_path / "work").read_bytes() == b"a shard"
            assert os.listdir(disk) == ["out"]


def test_digests_and_sizes_describe_the_content(tmp_path):
    content = bytes(range(256)) * 5000
    (tmp_path / "file").write_bytes(content)
    assert storage.file_digest(tmp_path / "file") == (hashlib.sha256(content).hexdigest(), len(content))
    assert storage.text_digest("text") == hashlib.sha256(b"text").hexdigest()
    assert storage.size(tmp_path / "file") == len(content)


def test_writing_replaces_a_file_and_leaves_no_temporary_file(tmp_path):
    storage.write_text(epath.Path(tmp_path / "file"), "old")
    storage.write_text(epath.Path(tmp_path / "file"), "new")
    assert (tmp_path / "file").read_text() == "new"
    assert os.listdir(tmp_path) == ["file"]


def test_trees_are_copied_and_removed(tmp_path):
    source, target = epath.Path(tmp_path / "source"), epath.Path(tmp_path / "target")
    (source / "folder").mkdir(parents=True)
    (source / "folder" / "file").write_text("content")
    storage.copy_tree(source, target)
    assert (target / "folder" / "file").read_text() == "content"
    storage.remove_tree(target)
    storage.remove_tree(target)
    assert not target.exists()


def test_tensorflow_reads_what_lies_in_a_folder_of_any_name(tmp_path):
    folder = epath.Path(tmp_path / ODD_NAME)
    folder.mkdir()
    (folder / "file").write_text("content")
    with storage.without_wildcards(folder) as name:
        assert tf.io.gfile.glob(f"{name}/file") == [f"{name}/file"]
        assert tf.io.gfile.GFile(f"{name}/file").read() == "content"
    assert not os.path.lexists(name)
    with storage.without_wildcards(tmp_path) as name:
        assert name == str(tmp_path)


def test_sizes_and_times_of_files_of_a_user_without_a_name(tmp_path, monkeypatch):
    def refuse(uid):
        raise KeyError(uid)

    monkeypatch.setattr(pwd, "getpwuid", refuse)
    (tmp_path / "file").write_bytes(b"12345")
    os.utime(tmp_path / "file", (7, 7))
    assert (storage.size(epath.Path(tmp_path / "file")), storage.modified_s(tmp_path / "file")) == (5, 7)


def test_all_spellings_of_a_path_have_one_canonical_one(tmp_path, monkeypatch):
    (tmp_path / "folder").mkdir()
    (tmp_path / "link").symlink_to(tmp_path / "folder")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("HOME", str(tmp_path))
    spellings = ["folder", "./folder/", "link", "folder/../link", "~/folder", str(tmp_path / "folder")]
    assert {storage.canonical(path) for path in spellings} == {str(tmp_path / "folder")}
    assert storage.canonical("gs://bucket/folder/") == "gs://bucket/folder"
    assert storage.canonical("") == ""


class TestFileSizes:
    FILES = {"a.json": 2, "a/b/data": 3, "a/c": 4, "_done/a.json": 5}

    def test_on_this_machine(self, tmp_path):
        self.write(epath.Path(tmp_path))
        self.check(tmp_path)

    def test_in_a_bucket_without_googles_client(self, tmp_path, monkeypatch):
        Bucket(tmp_path).install(monkeypatch)
        self.write(epath.Path("gs://bucket/root"))
        self.check("gs://bucket/root")

    def test_with_googles_client_one_request_lists_all(self, buckets):
        self.write(epath.Path("gs://bucket/root"))
        google_client.client().bucket("bucket").blob("root/a/empty/").upload_from_string(b"")  # TensorFlow writes such.
        epath.Path("gs://bucket/root2/other").write_text("")
        before = len(buckets.requests())
        self.check("gs://bucket/root")
        assert len(buckets.requests()) == before + 2

    def write(self, folder):
        for name, size in self.FILES.items():
            (folder / name).parent.mkdir(parents=True, exist_ok=True)
            (folder / name).write_bytes(bytes(size))

    def check(self, folder):
        sizes = storage.file_sizes(folder)
        assert sizes == self.FILES
        assert list(sizes) == sorted(sizes, key=lambda name: name.split("/"))
        assert storage.file_sizes(folder, records=False) == {
            name: size for name, size in self.FILES.items() if not name.startswith("_done")
        }
