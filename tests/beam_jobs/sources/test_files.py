"""The walk over folders, and that listing and `embed` find the same files by it."""

import os
import socket

import pytest
from hypothesis import given as hypothesis_given
from hypothesis import settings
from hypothesis import strategies as st

from beam_jobs import audio, sources
from beam_jobs.sources import files, given
from tests import users
from tests.beam_jobs.sources.folders import digest, read_by_both, touch


class TestDepth:
    def test_audio_is_found_at_any_depth_and_with_suffixes_in_capitals(self, tmp_path):
        names = ["A.FLAC", "a/b/c/WAV.WaV", "a/b/c/d/e.wav", "/".join("abcdefghij") + "/k.Mp3", "wav", "g.wav.part"]
        touch(tmp_path, *names)
        assert read_by_both(tmp_path) == sorted(names[:4])

    def test_hundreds_of_folders_in_each_other(self, tmp_path):
        name = "d/" * 400 + "a.wav"
        touch(tmp_path, name)
        assert read_by_both(tmp_path) == [name]

    def test_what_is_left_out_is_counted_by_suffix(self, tmp_path):
        touch(
            tmp_path, "a.wav", "a.TXT", "sub/b.txt", "LICENSE", "x.tar.gz", "table.csv", "a name. With words", "c.raw"
        )
        assert read_by_both(tmp_path) == ["a.wav"]
        assert sources.list_clips(tmp_path).ignored == {
            "files that end in .txt": 2,
            "files that end in .gz": 1,
            "files that end in .raw": 1,
            "files that end in .csv": 1,
            "files without a suffix": 2,
        }

    def test_few_of_many_suffixes_are_named_and_the_others_counted(self, tmp_path):
        touch(tmp_path, "a.wav", "1.txt", "2.txt", *(f"x.s{i}" for i in range(50)))
        ignored = sources.list_clips(tmp_path).ignored
        assert sum(ignored.values()) == 52
        assert len(ignored) == 21
        assert sources.describe(ignored, most=2) == "31 files that end otherwise, 2 files that end in .txt, 19 others"


class TestLinks:
    def test_a_link_to_the_folder_itself_gives_no_clip_twice(self, tmp_path):
        touch(tmp_path, "a.wav", "sub/b.wav")
        before = digest(tmp_path)
        (tmp_path / "latest").symlink_to(".")
        (tmp_path / "sub" / "up").symlink_to("..")
        (tmp_path / "0").symlink_to(tmp_path / "sub")
        assert read_by_both(tmp_path) == ["a.wav", "sub/b.wav"]
        assert digest(tmp_path) == before

    def test_links_that_lead_outside_are_followed_once(self, tmp_path):
        touch(tmp_path, "elsewhere/x/a.wav", "elsewhere/b.wav", "one.flac", "d/c.wav")
        for name in ("first", "second"):
            (tmp_path / "d" / name).symlink_to(tmp_path / "elsewhere")
            (tmp_path / "d" / f"{name}.flac").symlink_to("../one.flac")
        (tmp_path / "elsewhere" / "back").symlink_to(tmp_path / "d")
        assert read_by_both(tmp_path / "d") == ["c.wav", "first.flac", "first/b.wav", "first/x/a.wav"]
        assert sources.list_clips(tmp_path / "d").ignored == {files.REPEATED: 1}

    def test_what_is_behind_links_counts_in_the_digest(self, tmp_path):
        touch(tmp_path, "elsewhere/a.wav", "d/c.wav", "one.wav")
        (tmp_path / "d" / "link").symlink_to(tmp_path / "elsewhere")
        (tmp_path / "d" / "one.wav").symlink_to("../one.wav")
        digests = [digest(tmp_path / "d")]
        os.utime(tmp_path / "elsewhere" / "a.wav", (1, 1))
        digests.append(digest(tmp_path / "d"))
        (tmp_path / "one.wav").write_bytes(b"changed")
        digests.append(digest(tmp_path / "d"))
        touch(tmp_path, "elsewhere/sub/new.wav")
        digests.append(digest(tmp_path / "d"))
        assert len(set(digests)) == 4

    def test_second_names_of_a_file_are_counted_and_its_real_name_stays(self, tmp_path):
        touch(tmp_path, "m.wav")
        (tmp_path / "a.wav").symlink_to("m.wav")
        (tmp_path / "z").mkdir()
        os.link(tmp_path / "m.wav", tmp_path / "z" / "m.wav")
        assert read_by_both(tmp_path) == ["m.wav"]
        assert sources.list_clips(tmp_path).ignored == {files.REPEATED: 2}

    def test_of_hard_links_the_first_by_name_is_read_whatever_the_order_on_disk_is(self, tmp_path):
        touch(tmp_path, "q.wav", "other.wav")
        for name in ("b.wav", "x.wav", "a.wav", "y.wav"):
            os.link(tmp_path / "q.wav", tmp_path / name)
        assert read_by_both(tmp_path) == ["a.wav", "other.wav"]

    def test_a_link_into_a_hidden_folder_is_followed(self, tmp_path):
        """git-annex and DVC keep the files so."""
        touch(tmp_path, ".git/annex/objects/4f.wav")
        (tmp_path / "bird.wav").symlink_to(".git/annex/objects/4f.wav")
        assert read_by_both(tmp_path) == ["bird.wav"]

    def test_links_that_lead_nowhere_are_named(self, tmp_path):
        touch(tmp_path, "a.wav")
        (tmp_path / "usb").symlink_to("/nowhere/at/all")
        (tmp_path / "loop").symlink_to("loop")
        (tmp_path / "gone.wav").symlink_to("nowhere.wav")
        assert read_by_both(tmp_path) == ["a.wav", "gone.wav"]
        rows = {row.clip.path: row for row in sources.list_clips(tmp_path).quarantined}
        assert rows.keys() == {"usb", "loop"}
        assert "leads nowhere (No such file" in rows["usb"].message
        with pytest.raises(audio.DecodeError, match="no such file"):
            audio.decode_file(tmp_path / "gone.wav")

    @settings(max_examples=50, deadline=None)
    @hypothesis_given(links=st.lists(st.tuples(*[st.sampled_from(["", "a", "a/b", "c", "a/b/d"])] * 2), max_size=6))
    def test_links_among_folders_never_change_what_is_read(self, tmp_path_factory, links):
        folder = tmp_path_factory.mktemp("links")
        touch(folder, "1.wav", "a/2.wav", "a/b/3.wav", "c/4.wav", "a/b/d/5.wav")
        for number, (place, target) in enumerate(links):
            (folder / place / f"0{number}").symlink_to(folder / target)
        assert read_by_both(folder) == ["1.wav", "a/2.wav", "a/b/3.wav", "a/b/d/5.wav", "c/4.wav"]


class TestWhatIsPassedOver:
    def test_hidden_files_are_read_by_nobody_and_do_not_change_the_digest(self, tmp_path):
        touch(tmp_path, "a.wav", "sub/b.wav")
        before = digest(tmp_path)
        touch(tmp_path, "._a.wav", "sub/._b.wav", ".DS_Store", ".cache/c.wav", "__MACOSX/sub/d.wav", "sub/.e.csv")
        assert read_by_both(tmp_path) == ["a.wav", "sub/b.wav"]
        assert sources.list_clips(tmp_path).ignored == {}
        assert digest(tmp_path) == before

    def test_a_hidden_folder_that_is_given_itself_is_read(self, tmp_path):
        touch(tmp_path, ".sounds/a.wav")
        assert read_by_both(tmp_path / ".sounds") == ["a.wav"]

    @pytest.mark.parametrize("root", ["", "runs/tiny/"])
    def test_what_diptych_writes_into_the_source_is_no_part_of_it(self, tmp_path, root):
        touch(tmp_path, "a.wav", f"{root}b.wav")
        before = digest(tmp_path)
        own = (
            ".pipeline .lock metadata.sqlite report.json artifacts/AudioExampleGen/examples/1/quarantine.csv "
            "work/AudioExampleGen/1/quarantine.csv tensorboard/events logs/1.log staging/2/x.wav"
        )
        touch(tmp_path, *(root + name for name in own.split()))
        assert read_by_both(tmp_path) == sorted(["a.wav", f"{root}b.wav"])
        assert sources.list_clips(tmp_path).ignored == {}
        assert digest(tmp_path) == before

    def test_folders_of_these_names_elsewhere_are_read(self, tmp_path):
        touch(tmp_path, "work/a.wav", "logs/b.wav")
        assert read_by_both(tmp_path) == ["logs/b.wav", "work/a.wav"]

    def test_pipes_and_sockets_are_named_and_never_opened(self, tmp_path):
        touch(tmp_path, "a.wav")
        os.mkfifo(tmp_path / "pipe.wav")
        (tmp_path / "link.wav").symlink_to("pipe.wav")
        with socket.socket(socket.AF_UNIX) as server:
            before = os.getcwd()
            os.chdir(tmp_path)  # The name of a socket has 108 characters at most.
            server.bind("agent.wav")
            os.chdir(before)
            assert read_by_both(tmp_path) == ["a.wav"]
        rows = {row.clip.path: row.message for row in sources.list_clips(tmp_path).quarantined}
        assert rows.keys() == {"pipe.wav", "link.wav", "agent.wav"}
        assert all(message.startswith("it is a pipe, a socket or a device, not a file") for message in rows.values())

    @pytest.mark.parametrize("is_link", [False, True])
    def test_a_list_that_is_a_pipe_is_named_and_never_opened(self, tmp_path, is_link):
        touch(tmp_path, "a.wav")
        pipe = tmp_path / (".pipe" if is_link else "labels.csv")
        os.mkfifo(pipe)
        if is_link:
            (tmp_path / "labels.csv").symlink_to(pipe)
        assert read_by_both(tmp_path) == ["a.wav"]
        (row,) = sources.list_clips(tmp_path).quarantined
        assert (row.clip.path, row.cause) == ("labels.csv", "unreadable")
        assert digest(tmp_path)

    def test_a_manifest_that_is_a_pipe_is_refused(self, tmp_path):
        touch(tmp_path, "a.wav")
        os.mkfifo(tmp_path / "manifest.csv")
        for source in (tmp_path, tmp_path / "manifest.csv"):
            with pytest.raises(sources.SourceError, match=r"manifest.csv cannot be read, because it is a pipe"):
                sources.list_clips(source)
        assert digest(tmp_path)


@users.needs_root
class TestPermissions:
    def test_a_folder_that_may_not_be_read_is_named(self, tmp_path):
        touch(tmp_path, "a.wav", "closed/b.wav")
        readable = digest(tmp_path)
        with users.permissions(tmp_path / "closed", 0):
            assert read_by_both(tmp_path) == ["a.wav"]
            (row,) = sources.list_clips(tmp_path).quarantined
            assert digest(tmp_path) != readable
        assert (row.clip.path, row.cause) == ("closed/", "unreadable")
        assert row.message == "Permission denied; repair or remove it, or give this user the right to read it"
        assert digest(tmp_path) == readable

    def test_a_source_whose_audio_is_all_in_such_a_folder(self, tmp_path):
        touch(tmp_path, "closed/b.wav")
        with (
            users.permissions(tmp_path / "closed", 0),
            pytest.raises(sources.SourceError, match=r"can be read \(closed/: Permission denied\); give this user"),
        ):
            sources.list_clips(tmp_path)

    def test_a_list_that_may_not_be_read_hinders_nobody(self, tmp_path):
        touch(tmp_path, "a.wav", "notes.csv")
        with users.permissions(tmp_path / "notes.csv", 0):
            listing = sources.list_clips(tmp_path)
            assert digest(tmp_path)
        assert [clip.path for clip in listing.clips] == ["a.wav"]
        assert "(notes.csv has no readable line)" in listing.no_labels


class TestGiven:
    def test_files_keep_their_order_and_need_no_suffix(self, tmp_path):
        touch(tmp_path, "z.raw", "d/b.wav", "d/a.wav", "d/n.txt")
        arguments = [str(tmp_path / "z.raw"), str(tmp_path / "d"), str(tmp_path / "d" / "b.wav")]
        found = given.find(arguments)
        assert found.files == [arguments[0], *(str(tmp_path / "d" / name) for name in ("a.wav", "b.wav", "b.wav"))]
        assert found.left_out == {"files that end in .txt": 1}

    @pytest.mark.parametrize("folder", [".", "./"])
    def test_the_current_folder_gives_bare_names(self, tmp_path, monkeypatch, folder):
        touch(tmp_path, "a.wav")
        monkeypatch.chdir(tmp_path)
        assert given.find([folder]).files == ["a.wav"]
