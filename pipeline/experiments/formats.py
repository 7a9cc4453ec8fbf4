"""Cells that train on one format or on two."""

import dataclasses
from typing import TYPE_CHECKING

from pipeline.experiments.experiment import Cell

if TYPE_CHECKING:
    from pipeline.configs.config import PipelineConfig


def cell(config: "PipelineConfig", *formats: str) -> Cell:
    """Returns the cell that trains on one format, with one encoder for both branches, or on two.

    Each branch is augmented as the config augments the waveform (branch A) or the spectrum (branch B). One format has
    the objective "cross", because "all" would contrast the same two crops again, at twice the cost.
    """
    model = config.trainer.model
    by_kind = {True: model.augment_a.model_dump(), False: model.augment_b.model_dump()}
    pair = (formats[0], formats[-1])
    fields: dict[str, object] = {"trainer.model.formats": "+".join(pair)}
    if len(formats) == 1:
        fields["trainer.objective"] = "cross"
    for branch, format_name, present in zip("ab", pair, by_kind.values(), strict=True):
        wanted = by_kind[format_name == "waveform"]
        fields |= {
            f"trainer.model.augment_{branch}.{name}": value for name, value in wanted.items() if value != present[name]
        }
    return Cell(name="+".join(formats), fields=fields)


def wide_cell(config: "PipelineConfig", format_name: str) -> Cell:
    """Returns the cell of one format with twice the width, so that it has as many features as two formats have."""
    narrow = cell(config, format_name)
    width = 2 * config.trainer.model.width_for(format_name)
    fields = {**narrow.fields, f"trainer.model.widths.{format_name}": width}
    return dataclasses.replace(narrow, name=f"{format_name}-wide", fields=fields)
