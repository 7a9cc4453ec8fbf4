import tracemalloc
import unicodedata

import pytest

from components.errors import UserError
from pipeline.vectors.head import labels
from tests import corpora
from tests.beam_jobs.sources.folders import touch


def table(folder, text, name="labels.csv"):
    (folder / name).write_text(text)
    return str(folder / name)


class TestReading:
    def test_a_sub_folder_is_a_class(self, tmp_path):
        touch(tmp_path, "dog/a.wav", "cat/x/b.wav", "beside.wav")
        read = labels.read(str(tmp_path))
        assert read.names == ["cat", "dog"]
        assert read.classes == {"dog/a.wav": ("dog",), "cat/x/b.wav": ("cat",), "beside.wav": ()}

    def test_the_lists_of_a_corpus(self, tmp_path):
        read = labels.read(str(corpora.esc50(tmp_path / "esc", clips=4)))
        assert read.classes["audio/2-1001-A-1.ogg"] == ("class_1",)

    @pytest.mark.parametrize(
        "text",
        [
            "file,label\na.wav,dog\nb.wav,cat;loud\nb.wav, dog\nc.wav,\n",
            '\ufefflabels,weight,filename\ndog,1,a.wav\n"cat;loud;dog",2,b.wav\n"",3,c.wav\n',
        ],
    )
    def test_a_table(self, tmp_path, text):
        read = labels.read(table(tmp_path, text))
        assert read.classes == {"a.wav": ("dog",), "b.wav": ("cat", "loud", "dog"), "c.wav": ()}
        assert read.names == ["cat", "dog", "loud"]

    def test_a_list_means_the_same_in_its_folder_and_as_a_table(self, tmp_path):
        cells = ['"dog,cat"', "\"['dog', 'cat']\"", "nan", "dog", '"dog;cat"', '"Rain, heavy;"']
        rows = "".join(f"{number}.wav,{cell}\n" for number, cell in enumerate(cells))
        of_table = labels.read(table(tmp_path, f"path,labels\n{rows}", name="manifest.csv"))
        assert of_table.classes == labels.read(str(tmp_path)).classes
        assert of_table.names == ["Rain, heavy", "cat", "dog"]

    def test_a_single_label_may_hold_a_comma(self, tmp_path):
        read = labels.read(table(tmp_path, 'file,label\na.wav,"Speech, male"\nb.wav,dog\n'))
        assert read.names == ["Speech, male", "dog"]

    def test_lists_of_segments_are_one_sentence(self, tmp_path):
        table(tmp_path, "path,start,end,labels\na.wav,0,5,dog\na.wav,5,10,cat\n", name="manifest.csv")
        with pytest.raises(UserError, match=r"gives? labels to segments \(a.wav@0-5\).* cut the segments into files"):
            labels.read(str(tmp_path))

    def test_what_a_list_gives_no_clip_for_is_told(self, tmp_path):
        table(tmp_path, "path,labels\na.wav,dog\na.wav,cat\nb.wav\nc.wav,cat\n", name="manifest.csv")
        read = labels.read(str(tmp_path))
        assert read.classes == {"a.wav": ("dog",), "c.wav": ("cat",)}
        assert [message.split(": ")[0].rpartition("/")[2] for message in read.left_out] == [
            "manifest.csv:3",
            "manifest.csv:4",
        ]

    def test_a_folder_may_be_named_like_a_table(self, tmp_path):
        touch(tmp_path / "sounds.csv", "dog/a.wav", "cat/b.wav")
        assert labels.read(str(tmp_path / "sounds.csv")).names == ["cat", "dog"]

    @pytest.mark.parametrize(
        ("text", "message"),
        [
            ("a.wav,dog\n", "names the columns a.wav, dog: it must name file and label"),
            ("", "it must name file and label"),
            ("file,label\na.wav\n", "labels.csv:2 does not have 2 columns"),
            ('file,label\na.wav,"x\ny"\n', "labels.csv:2 has a line break in a cell: write the row on one line"),
            ("file,label\na.wav,dog\n", "names fewer than two classes"),
            ("path,start,end,labels\na.wav,0,1,dog\n", "gives labels to segments"),
            ("file,labels\na.wav,[dog]\n", r"labels.csv:2: \[dog\] is not a list such as \['dog', 'cat'\]; write"),
        ],
    )
    def test_other_tables_are_one_sentence(self, tmp_path, text, message):
        with pytest.raises(UserError, match=message):
            labels.read(table(tmp_path, text))

    def test_other_places_are_one_sentence(self, tmp_path):
        touch(tmp_path, "dog/a.wav")
        for place in ("nowhere", "nowhere.csv", ""):
            with pytest.raises(UserError, match="--labels"):
                labels.read(str(tmp_path / place))


class TestFinding:
    @pytest.mark.parametrize(
        ("listed", "name"),
        [
            ("dog/a.wav", "{here}/dog/a.wav"),  # The path.
            ("{here}/dog/a.wav", "{here}/dog/a.wav"),
            ("dog/a.wav", "/mnt/elsewhere/dog/a.wav"),  # On another machine.
            ("./dog/a.wav", "/mnt/elsewhere/dog/a.wav"),
            ("{here}/dog/a.wav", "dog/a.wav"),  # From another folder.
            ("{here}/dog/a.wav", "a.wav"),
            ("a.wav", "dog/a.wav"),  # The table has names alone.
            ("a", "dog/a.wav"),  # FSD50K's has no suffixes either.
            ("dog/a.b", "x/dog/a.b.wav"),
            ("dog/a.wav", "x/dog/a.ogg"),  # A converted copy.
        ],
    )
    def test_a_file_may_be_spelled_otherwise(self, tmp_path, monkeypatch, listed, name):
        (tmp_path / "elsewhere").mkdir()
        monkeypatch.chdir(tmp_path / "elsewhere")
        here = str(tmp_path)
        read = labels.read(table(tmp_path, f"file,label\n{listed.format(here=here)},dog\nother.wav,cat\n"))
        finder = labels.Finder(read)
        assert finder.find(name.format(here=here)) == ("dog",)
        assert finder.find(name.format(here=here)) == ("dog",)  # It has several rows.
        assert finder.unused == 1

    @pytest.mark.parametrize("name", ["og/a.wav", "a.wav.txt", "b.wav", "{here}/a.wav", "og/dog/b.wav"])
    def test_other_files_have_no_label(self, tmp_path, name):
        read = labels.read(table(tmp_path, "file,label\ndog/a.wav,dog\ncat/a.wav,cat\n"))
        assert labels.Finder(read).find(name.format(here=tmp_path)) == ()

    @pytest.mark.parametrize("forms", [("NFC", "NFD"), ("NFD", "NFC")])
    @pytest.mark.parametrize("name", ["{tmp}/é/dög.wav", "/elsewhere/é/dög.wav", "dög.wav"])
    def test_accented_letters_have_two_spellings(self, tmp_path, forms, name):
        in_table, embedded = forms
        folder = tmp_path / unicodedata.normalize(in_table, "é")
        folder.mkdir()
        text = unicodedata.normalize(in_table, "file,label\ndög.wav,dog\nb.wav,cat\n")
        finder = labels.Finder(labels.read(table(folder, text)))
        assert finder.find(unicodedata.normalize(embedded, name.format(tmp=tmp_path))) == ("dog",)

    def test_suffixes_count_if_they_tell_files_apart(self, tmp_path):
        finder = labels.Finder(labels.read(table(tmp_path, "file,label\na.wav,dog\na.flac,cat\n")))
        assert [finder.find(f"/x/a.{suffix}") for suffix in ("flac", "wav", "ogg")] == [("cat",), ("dog",), ()]

    def test_the_longest_ending_decides(self, tmp_path):
        read = labels.read(table(tmp_path, "file,label\na.wav,dog\ncat/a.wav,cat\n"))
        finder = labels.Finder(read)
        assert finder.find("/x/cat/a.wav") == ("cat",)
        assert finder.find("/x/dog/a.wav") == ("dog",)

    def test_the_file_itself_leaves_no_label_to_one_of_another_folder(self, tmp_path):
        touch(tmp_path, "v2/dog/a.wav", "v2/cat/b.wav")
        names = [str(tmp_path / name) for name in ("v1/dog/a.wav", "v1/cat/c.wav", "v2/dog/a.wav", "v2/cat/b.wav")]
        finder = labels.Finder(labels.read(str(tmp_path / "v2")), names)
        assert [finder.find(name) for name in names] == [(), (), ("dog",), ("cat",)]

    def test_a_file_of_many_takes_little_memory(self):
        classes = {f"{number % 7}/recording number {number}.wav": ("dog",) for number in range(20_000)}
        finder = labels.Finder(labels.Labels(place="", root="/here", classes=classes))
        tracemalloc.start()
        assert finder.find("/elsewhere/3/recording number 3.wav") == ("dog",)
        peak = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
        assert peak / len(classes) < 420

    def test_what_fits_two_files_is_refused(self, tmp_path):
        read = labels.read(table(tmp_path, "file,label\ndog/a.wav,dog\ncat/a.wav,cat\n"))
        with pytest.raises(UserError, match="cat/a.wav and dog/a.wav may both be a.wav of the embeddings"):
            labels.Finder(read).find("a.wav")
        read = labels.read(table(tmp_path, "file,label\na.wav,dog\nb.wav,cat\n"))
        finder = labels.Finder(read)
        finder.find("/x/a.wav")
        with pytest.raises(UserError, match="a.wav may be /x/a.wav or /y/a.wav"):
            finder.find("/y/a.wav")
