"""Writes manifests."""


def write(folder, text, *, name="clips.csv"):
    folder.mkdir(parents=True, exist_ok=True)
    (folder / name).write_text(text, encoding="utf-8", newline="")
    return folder / name
