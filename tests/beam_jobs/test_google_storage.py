"""Paths on Cloud Storage, against an emulator: what they do, how many requests it takes, and what disturbs them."""

import threading

import pytest
from etils import epath

from beam_jobs import conditional_writes, finished_files, google_client, storage
from beam_jobs.google_path import GooglePath
from components import file_errors
from tests import emulated_bucket

ROOT = epath.Path("gs://bucket/root")


@pytest.fixture
def requests(buckets):
    """Returns a function that returns the kinds of the requests since its last call."""
    seen = []

    def new():
        kinds = [request.kind for request in buckets.requests(start=len(seen))]
        seen.extend(kinds)
        return kinds

    return new


@pytest.fixture
def hurry(monkeypatch):
    """Makes the pauses between tries short."""
    emulated_bucket.hurry(monkeypatch)


def write(folder, files):
    for name, content in files.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(content)


FILES = {"a.json": b"{}", "a/b/data": b"123", "a/c": b"1234", "a-b": b"", "_done/a.json": b"12345"}


def describe(folder):
    """Returns what a path says of the folder and of what is in it."""
    found = {"glob": sorted(path.name for path in folder.glob("*.json")), "sizes": storage.file_sizes(folder)}
    found["entries"] = sorted(storage.entries(folder))
    for name in ("a", "a.json", "a/b", "a/b/data", "none", "a-"):
        path = folder / name
        found[name] = (path.exists(), path.is_dir(), path.is_file())
    found["names"] = sorted(path.name for path in folder.iterdir())
    found["content"] = {name: (folder / name).read_bytes() for name in found["sizes"]}
    found["digest"] = storage.file_digest(folder / "a/c")
    with storage.open_binary(folder / "a/c") as file:
        found["seek"] = (file.seek(-3, 2), file.read(2), file.tell(), file.read(), file.read())
    found["range"] = storage.read_range(folder / "a/c", start=1, size=2)
    return found


def test_a_folder_in_a_bucket_is_like_one_on_this_machine(buckets, tmp_path):
    assert isinstance(ROOT, GooglePath)
    local = epath.Path(tmp_path / "root")
    for folder in (local, ROOT):
        write(folder, FILES)
        (folder / "text").write_text("größer\n")
        with (folder / "written").open("w") as file:
            file.write("line\n")
        (folder / "text").replace(folder / "moved")
        storage.copy_file(folder / "moved", folder / "copy")
        storage.copy_tree(folder / "a", folder / "tree")
        storage.remove_tree(folder / "a/b")
        storage.remove_tree(folder / "nothing")
        write(folder, FILES)
        none = folder / "none"
        for wrong in (none.read_text, none.unlink, lambda none=none: none.open("rb").read(), none.stat):
            with pytest.raises(FileNotFoundError):
                wrong()
    assert describe(ROOT) == describe(local)
    storage.copy_tree(ROOT, epath.Path(tmp_path / "down"))
    assert storage.file_sizes(tmp_path / "down") == storage.file_sizes(local)
    storage.copy_tree(local, ROOT.parent / "up", last="a.json")
    assert storage.file_sizes(ROOT.parent / "up") == storage.file_sizes(local)


@pytest.mark.parametrize(
    ("action", "expected"),
    [
        (lambda: storage.write_text(ROOT / "file", "x", concurrent=True), ["upload"]),
        ((ROOT / "file").read_text, ["read"]),
        (lambda: storage.size(ROOT / "file"), ["stat"]),
        (lambda: storage.is_folder(ROOT), ["list"]),
        (lambda: storage.file_sizes(ROOT), ["list"]),
        (lambda: list(storage.entries(ROOT)), ["list"]),
        (lambda: (ROOT / "folder").mkdir(parents=True), []),
        (lambda: storage.publish_file(ROOT / "file", ROOT / "other", size=4), ["copy"]),
        (lambda: conditional_writes.read_if_exists(ROOT / "none"), ["read"]),
        (lambda: conditional_writes.replace_if(ROOT / "new", b"", expected=None), ["upload"]),
        (lambda: storage.remove_files(ROOT, ["file", "none"]), ["batch"]),
        (lambda: storage.remove_tree(ROOT), ["list", "batch", "list"]),
    ],
)
def test_number_of_requests(requests, action, expected):
    (ROOT / "file").write_bytes(b"1234")
    requests()
    action()
    assert requests() == expected


def test_large_files_take_two_requests_and_many_files_few(buckets, requests):
    with storage.scratch(ROOT / "large") as temporary:
        temporary.write_bytes(bytes(9 * 2**20))
        storage.move_in(temporary, ROOT / "large")
    assert requests() == ["upload", "upload"]
    assert storage.size(ROOT / "large") == 9 * 2**20
    buckets.limit_pages(100)
    google_client.in_parallel(lambda number: (ROOT / f"many/{number:04d}").write_bytes(b"1"), range(201))
    requests()
    assert len(storage.file_sizes(ROOT / "many")) == 201
    assert requests() == ["list"] * 3
    storage.remove_tree(ROOT / "many")
    assert sorted(requests()) == ["batch"] * 3 + ["list"] * 4


def test_a_file_that_is_gone_or_replaced_while_it_is_read_is_not_taken_for_a_missing_bucket(buckets, monkeypatch):
    monkeypatch.setattr("beam_jobs.google_path._BLOCK_BYTES", 4)
    file = ROOT / "file"
    for change, error in ((file.unlink, FileNotFoundError), (lambda: file.write_bytes(b"87654321"), OSError)):
        file.write_bytes(b"12345678")
        with file.open("rb") as opened:
            assert opened.read(4) == b"1234"
            change()
            with pytest.raises(error) as caught:
                opened.read(4)
        assert caught.value.filename == "gs://bucket/root/file"
    assert "replaced while it was read" in str(caught.value)
    with pytest.raises(FileNotFoundError):
        finished_files.write_record(ROOT, shard="gone", file="gone.0123", record="{}")


def test_a_large_file_is_read_once(requests, monkeypatch):
    monkeypatch.setattr("beam_jobs.google_path._BLOCK_BYTES", 4)
    (ROOT / "file").write_bytes(b"1234567890")
    requests()
    with (ROOT / "file").open("rb") as opened:
        assert opened.read() == b"1234567890"
    assert requests() == ["read", "stat", "read"]


class TestDisturbed:
    @pytest.mark.parametrize("fault", [429, 503, 0.0], ids=["too many requests", "unavailable", "no answer"])
    def test_each_request_is_tried_again(self, buckets, hurry, fault):
        write(ROOT, FILES)
        buckets.disturb(first_tries=fault)
        (ROOT / "file").write_text("content")
        assert (ROOT / "file").read_text() == "content"
        storage.copy_file(ROOT / "file", ROOT / "copy")
        (ROOT / "file").unlink()
        assert {"a.json", "copy"} <= set(storage.file_sizes(ROOT))
        assert conditional_writes.replace_if(ROOT / "lease", b"1", expected=None)
        assert conditional_writes.replace_if(ROOT / "lease", b"2", expected=b"1")
        storage.remove_tree(ROOT)
        assert not storage.file_sizes(ROOT)

    def test_a_user_hears_why_nothing_goes_on_and_not_again_at_once(self, buckets, hurry, monkeypatch, caplog):
        monkeypatch.setattr(google_client._NOTICES, "next_s", 0.0)
        write(ROOT, FILES)
        buckets.disturb(first_tries=503)
        for name in FILES:
            storage.file_sizes(ROOT / name)
        (warning,) = (record.getMessage() for record in caplog.records if record.levelname == "WARNING")
        assert warning.startswith("Cloud Storage fails, and is asked again for up to two minutes: 503 ")

    def test_a_service_that_does_not_answer_is_asked_again_after_the_deadline(self, buckets, hurry, monkeypatch):
        emulated_bucket.shorten_deadlines(monkeypatch, seconds=0.5)
        for action in (
            lambda: (ROOT / "file").write_text("content"),
            (ROOT / "file").read_text,
            lambda: storage.read_range(ROOT / "file", start=1, size=2),
            lambda: storage.file_sizes(ROOT),
        ):
            buckets.disturb(first_tries="silence")
            before = len(buckets.requests())
            action()
            assert len(buckets.requests(start=before)) >= 2
        assert (ROOT / "file").read_text() == "content"

    @pytest.mark.parametrize("expected", [None, b"first"])
    def test_an_answer_that_is_lost_does_not_lose_a_lease(self, buckets, hurry, expected):
        """The second try finds the file of the first."""
        if expected is not None:
            (ROOT / "lease").write_bytes(expected)
        buckets.disturb(lost="upload")
        assert conditional_writes.replace_if(ROOT / "lease", b"mine", expected=expected)
        assert [request.kind for request in buckets.requests()].count("upload") >= 2

    def test_an_answer_that_is_lost_does_not_fail_a_removal_or_a_copy(self, buckets, hurry):
        first, second = ROOT / "first", ROOT / "second"
        first.write_text("1")
        buckets.disturb(lost="copy")
        first.copy(second)
        buckets.disturb(lost="delete")
        first.replace(second)
        assert (first.exists(), second.read_text()) == (False, "1")
        buckets.disturb()
        first.write_text("another content")
        with pytest.raises(FileExistsError):
            first.copy(second)
        second.unlink()
        with pytest.raises(FileNotFoundError):
            second.unlink()

    def test_a_folder_that_must_not_be_removed_is_an_error(self, buckets, monkeypatch):
        write(ROOT, FILES)
        monkeypatch.setattr("beam_jobs.google_removal._PAUSES_S", (0.0, 0.0))
        buckets.disturb(refused="delete")
        with pytest.raises(Exception) as caught:  # noqa: PT011
            storage.remove_tree(ROOT)
        assert file_errors.reason(caught.value) == "the service refuses these credentials"
        assert set(storage.file_sizes(ROOT)) == set(FILES)

    def test_files_that_a_batch_could_not_remove_are_removed_by_the_next(self, buckets, monkeypatch):
        write(ROOT, FILES)
        monkeypatch.setattr("beam_jobs.google_removal._PAUSES_S", (0.0, 0.0, 0.0))
        buckets.disturb(in_batches=[503, 429])
        storage.remove_tree(ROOT)
        assert not storage.file_sizes(ROOT)
        assert [request.kind for request in buckets.requests()].count("batch") == 2


def test_only_one_of_many_writers_succeeds(buckets):
    won = []
    barrier = threading.Barrier(8)

    def write(number):
        barrier.wait()
        if conditional_writes.replace_if(ROOT / "lease", b"%d" % number, expected=None):
            won.append(b"%d" % number)

    threads = [threading.Thread(target=write, args=(number,)) for number in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert won == [(ROOT / "lease").read_bytes()]


@pytest.mark.parametrize(
    ("status", "reason"),
    [
        (401, "there are no credentials"),
        (403, "the service refuses these credentials"),
        (404, "there is no such bucket"),
    ],
)
@pytest.mark.parametrize("action", [lambda: (ROOT / "x").write_text(""), lambda: storage.file_sizes(ROOT)])
def test_what_the_service_refuses_is_one_clear_sentence(buckets, status, reason, action):
    buckets.disturb(always=status)
    with pytest.raises(Exception) as caught:  # noqa: PT011
        action()
    message = str(file_errors.as_user_error(caught.value, place="--root gs://bucket/root"))
    assert message.startswith(f"--root gs://bucket/root cannot be used ({reason}): ")
    assert "\n" not in message


def test_public_buckets_need_no_credentials(monkeypatch, tmp_path):
    pytest.importorskip("google.cloud.storage", reason="Google's client comes with the extra gcp")
    for name in ("STORAGE_EMULATOR_HOST", "GOOGLE_APPLICATION_CREDENTIALS"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("CLOUDSDK_CONFIG", str(tmp_path))
    monkeypatch.setenv("NO_GCE_CHECK", "true")
    google_client._client.cache_clear()
    assert type(google_client.client()._credentials).__name__ == "AnonymousCredentials"
    google_client._client.cache_clear()
