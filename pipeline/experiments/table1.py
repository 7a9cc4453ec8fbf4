"""Table 1: length of the crops, largest frequency shift, temperature and size of the projections."""

from collections.abc import Mapping
from typing import TYPE_CHECKING

from pipeline.experiments.experiment import Cell, Experiment, Layout, Place

if TYPE_CHECKING:
    from pipeline.configs.config import PipelineConfig

# Name -> title, field, value -> the paper's validation mAP.
_BLOCKS: Mapping[str, tuple[str, str, Mapping[float, float]]] = {
    "crop": (
        "Crop size (s)",
        "trainer.model.crop_seconds",
        {1: 0.310, 2: 0.336, 3: 0.340, 4: 0.344, 5: 0.341, 6: 0.328, 8: 0.305, 10: 0.262},
    ),
    "shift": (
        "Max freq shift",
        "trainer.model.augment_b.frequency_shift",
        {0: 0.331, 2: 0.329, 4: 0.333, 10: 0.340, 20: 0.340, 40: 0.342, 60: 0.338, 80: 0.326},
    ),
    "temperature": (
        "Temperature",
        "trainer.temperature",
        {0.05: 0.330, 0.1: 0.340, 0.25: 0.326, 0.5: 0.312, 0.75: 0.297, 1: 0.285},
    ),
    "latent": (
        "Latent size",
        "trainer.model.projector_dim",
        {128: 0.331, 256: 0.338, 512: 0.340, 1024: 0.342, 2048: 0.345},
    ),
}


def _layout(config: "PipelineConfig") -> Layout:
    del config  # All presets have the same cells.
    cells, places = [], []
    for name, (title, field, numbers) in _BLOCKS.items():
        for value, paper in numbers.items():
            cells.append(Cell(name=f"{name}-{value:g}", fields={field: value}))
            places.append(Place(block=title, row="score", column=f"{value:g}", cell=cells[-1].name, paper=paper))
    return Layout(cells=cells, places=places)


EXPERIMENT = Experiment(
    name="table1",
    title="crop size, frequency shift, temperature, latent size",
    layout=_layout,
    paper="validation mAP on AudioSet, base model",
    paper_metric="mAP",
    note="Each part changes one field of the preset. A clip that is shorter than the crop is repeated.",
)
