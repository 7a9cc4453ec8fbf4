"""What the names of the normalizations mean, without Keras; `models.layers.normalization` builds the layers."""


def groups(norm: str) -> int | None:
    """Returns the number of groups of `"group:G"`, or None for `"batch"`.

    Raises:
        ValueError: `norm` is neither.
    """
    kind, _, count = norm.partition(":")
    if kind == "batch" and not count:
        return None
    if kind == "group" and count.isdigit() and int(count) > 0:
        return int(count)
    raise ValueError(f"unknown norm {norm!r}: it is 'batch' or 'group:G', e.g. 'group:1'")


def check_groups(channels: int, *, groups: int) -> None:
    """Checks that group normalization can split channels into groups of the same size.

    Raises:
        ValueError: It cannot.
    """
    if channels % groups:
        raise ValueError(
            f"group normalization cannot split {channels} channels into {groups} groups: choose a number that divides "
            "them, or another width"
        )
