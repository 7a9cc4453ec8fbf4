import pytest
from etils import epath

from beam_jobs import conditional_writes
from tests.bucket import Bucket
from tests.cloud_storage import Service


class TestReplaceIf:
    FILE = epath.Path("gs://bucket/root/.lease")

    @pytest.fixture
    def service(self, monkeypatch):
        pytest.importorskip("google.cloud.storage", reason="Google's client comes with the extra gcp")
        service = Service()
        with service.running() as url:
            monkeypatch.setenv("STORAGE_EMULATOR_HOST", url)
            yield service

    def test_with_googles_client(self, service):
        self.replace()
        assert service.objects["bucket/root/.lease"][1] == b"second"

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

    def test_the_service_refuses_the_second_of_two_writers(self, service):
        service.before_upload = lambda: service.put("bucket/root/.lease", b"other", generation=0)
        assert not conditional_writes.replace_if(self.FILE, b"mine", expected=None)
        assert conditional_writes.read_if_exists(self.FILE) == b"other"

    def test_without_a_client_the_last_of_two_writers_succeeds(self, tmp_path, monkeypatch):
        Bucket(tmp_path).install(monkeypatch)
        monkeypatch.setattr(conditional_writes.time, "sleep", lambda seconds: self.FILE.write_bytes(b"other"))
        assert not conditional_writes.replace_if(self.FILE, b"mine", expected=None)
        assert conditional_writes.read_if_exists(self.FILE) == b"other"
