import pytest
from etils import epath

from beam_jobs import conditional_writes, google_storage
from tests.bucket import Bucket


class TestReplaceIf:
    FILE = epath.Path("gs://bucket/root/.lease")

    @pytest.mark.usefixtures("buckets")
    def test_with_googles_client(self):
        self.replace()
        assert conditional_writes.read_if_exists(self.FILE) == b"second"

    def test_without_it(self, tmp_path, monkeypatch):
        monkeypatch.setattr(conditional_writes, "SETTLE_S", 0.0)
        Bucket(tmp_path).install(monkeypatch)
        self.replace()
        assert (tmp_path / "bucket" / "root" / ".lease").read_bytes() == b"second"

    def replace(self):
        assert conditional_writes.read_if_exists(self.FILE) is None
        assert not conditional_writes.replace_if(self.FILE, b"first", expected=b"other")
        assert conditional_writes.replace_if(self.FILE, b"first", expected=None)
        assert not conditional_writes.replace_if(self.FILE, b"second", expected=None)
        assert conditional_writes.replace_if(self.FILE, b"second", expected=b"first")
        assert conditional_writes.read_if_exists(self.FILE) == b"second"

    @pytest.mark.parametrize("expected", [None, b"first"])
    @pytest.mark.usefixtures("buckets")
    def test_the_service_refuses_the_second_of_two_writers(self, monkeypatch, expected):
        upload = google_storage.upload
        if expected is not None:
            upload(self.FILE, expected)

        def upload_after_another(path, content, **conditions):
            upload(path, b"other")
            upload(path, content, **conditions)

        monkeypatch.setattr(google_storage, "upload", upload_after_another)
        assert not conditional_writes.replace_if(self.FILE, b"mine", expected=expected)
        assert conditional_writes.read_if_exists(self.FILE) == b"other"

    def test_without_a_client_the_last_of_two_writers_succeeds(self, tmp_path, monkeypatch):
        Bucket(tmp_path).install(monkeypatch)
        monkeypatch.setattr(conditional_writes.time, "sleep", lambda seconds: self.FILE.write_bytes(b"other"))
        assert not conditional_writes.replace_if(self.FILE, b"mine", expected=None)
        assert conditional_writes.read_if_exists(self.FILE) == b"other"
