"""The card of the bundled model, with the figures of its result file."""

from collections.abc import Mapping

from tests.benchmarks import tables

_FEATURES = {"tiny-v1": "tiny-v1", "log_mel_mean_std": "log-mel mean and std", "mfcc_mean_std": "MFCC mean and std"}

_BLANKET = "https://github.com/rafaelmardojai/blanket"
_FREESOUND = "https://freesound.org/people"

CREDITS = (
    ("Birds", "kvgarlic", f"{_FREESOUND}/kvgarlic/sounds/156826", "CC0"),
    ("Boat", "Falcet", f"{_FREESOUND}/Falcet/sounds/439365", "CC0"),
    ("City", "gezortenplotz", f"{_FREESOUND}/gezortenplotz/sounds/44796", "CC BY"),
    ("Coffee shop", "stephan", "https://soundbible.com/1664-Restaurant-Ambiance.html", "public domain"),
    ("Fireplace", "ezwa", "https://soundbible.com/1543-Fireplace.html", "public domain"),
    ("Rain", "alex36917", f"{_FREESOUND}/alex36917/sounds/524605", "CC BY"),
    ("Storm", "Digifish music", f"{_FREESOUND}/digifishmusic/sounds/41739", "CC BY"),
    ("Summer night", "Lisa Redfern", "https://soundbible.com/2083-Crickets-Chirping-At-Night.html", "public domain"),
    ("Train", "SDLx", f"{_FREESOUND}/SDLx/sounds/259988", "CC BY 3.0"),
    ("Waves", "Luftrum", f"{_FREESOUND}/Luftrum/sounds/48412", "CC BY"),
    ("Wind", "felix.blume", f"{_FREESOUND}/felix.blume/sounds/217506", "CC0"),
)
"""Sound, author, place and license, as the project Blanket lists them."""

_CARD = """\
# tiny-v1

A small model to try Diptych with: {kilobytes:,} kB, the preset `tiny`, for LiteRT. It works after the installation,
without the internet:

```
diptych embed --model tiny-v1 rain.wav
```

{shape}

## Data

{data}
## Licenses

No audio comes with Diptych; the weights were trained on it. Diptych itself has no license yet, and so neither have
they.

* **Ambience.** The sounds of [Blanket]({blanket}), listed below; Porrumentzio edited
  many of them for it. To train on them, they were decoded, cut and changed at random. Those of Moodist, another
  collection, are always left out, because nobody knows which license each of them has.
* **Samples.** The sounds of Sonic Pi, in Debian the package `sonic-pi-samples`. Its `README.md` says that all of them
  are from freesound.org under CC0, and names each one.
* **Generated.** The clips of SyntheticAudioGen, which nobody owns.

{credits}

## Command

```
{command}
```

{stages}

## Scores

{scores}
{scored}
## Limits

* It heard little, and of that mostly rain, wind, water, machines, crowds and single notes; hardly any speech, and no
  pieces of music. For anything but a first look, train a model of your own on your own audio.
* Sound above 8 kHz is not heard, and order over more than {window:g} s is not seen.
* One training with one seed. The interval says how sure the score is for other clips, not for other trainings.
* The clips of ESC-50 are from freesound.org, as are many of the sounds above. No number of a sound that is listed here
  or by Sonic Pi is among those of ESC-50.
* It is a file for LiteRT: it embeds whole windows, has no embeddings over time and cannot be trained further. HEAR and
  `diptych classify --output` need a SavedModel instead.
"""


def render(result: Mapping) -> str:
    """Returns the card.

    Args:
        result: The content of the result file.
    """
    files = result["files"]
    run = result["run"]
    model = result["model"]
    dims = model["dims"]
    return _CARD.format(
        shape=tables.paragraph(
            f"It takes 16 kHz sound in windows of {model['window_s']:g} s, and gives {sum(dims.values())} numbers: "
            f"{dims['waveform']} of the waveform's encoder and {dims['log_mel']} of the log-mel encoder."
        ).rstrip(),
        window=model["window_s"],
        kilobytes=round(result["model"]["bytes"] / 1000),
        data=tables.paragraph(
            f"{files['ambience']} recordings of rooms, streets, nature and machines, {files['samples']} short sounds, "
            f"most of instruments, and {files['generated']} generated clips of 6 s: {run['clips']:,} clips of up to "
            f"10 s, {run['hours']:.1f} h in all; {run['quarantined']} were quarantined. No label of them was used."
        ),
        blanket=_BLANKET,
        credits=tables.table(
            ["sound", "author", "license"],
            [[f"[{sound}]({place})", author, license_] for sound, author, place, license_ in CREDITS],
        ).rstrip(),
        command=_command(result),
        stages=tables.paragraph(
            f"The Trainer: {run['training']}. The Exporter: {run['export']}. Made on {tables.where(result)}"
        ).rstrip(),
        scores=_scores(result),
        scored=tables.paragraph(
            "Linear probe in cross-validation over the five folds of ESC-50, with its 95 % interval; its nearest "
            "neighbors and classifiers that see 8 clips a class. `diptych evaluate --model tiny-v1 --data ESC-50 "
            "--baseline log_mel_mean_std evaluator.probe=linear` repeats it."
        ),
    )


def _command(result: Mapping) -> str:
    words = ["python -m tests.benchmarks.tiny_v1 --ambience AMBIENCE --samples SAMPLES --data ESC-50 \\\n   "]
    words += [f"--generated {result['files']['generated'] - 1}"]
    words += [f"--leave-out '{glob}'" for glob in result["left_out"]]
    return " ".join([*words, *(f"'{field}'" for field in result["overrides"])])


def _scores(result: Mapping) -> str:
    rows = []
    for name, score in result["scores"].items():
        others = [result[key][name] for key in ("knn", "few_shot")]
        shown = [_score(score, result["intervals"][name]), *(_score(one["score"], one["interval"]) for one in others)]
        rows.append([_FEATURES.get(name, name), *shown])
    return tables.table(["accuracy on ESC-50", "linear probe", "10 nearest neighbors", "8 clips a class"], rows)


def _score(score: float, interval: tuple[float, float]) -> str:
    low, high = interval
    return f"{100 * score:.1f} % ({100 * low:.1f} to {100 * high:.1f})"
