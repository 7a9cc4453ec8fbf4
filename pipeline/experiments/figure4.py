"""Figure 4: the size of the batch."""

from typing import TYPE_CHECKING

from pipeline.experiments.experiment import Cell, Experiment, Layout, Place

if TYPE_CHECKING:
    from pipeline.configs.config import PipelineConfig

# Batches of up to a preset's size are embedded at once, and larger ones part by part. The first two lists fit the 569
# training clips of the generated corpus, and the 1,898 of ESC-50.
_UP_TO_32 = (16, 32, 128, 512)
_UP_TO_128 = (32, 128, 512, 1792)
_LARGER = (256, 1024, 4096, 16_384, 32_768)


def _sizes(batch_size: int) -> tuple[int, ...]:
    if batch_size <= _UP_TO_32[1]:
        return _UP_TO_32
    return _UP_TO_128 if batch_size <= _UP_TO_128[1] else _LARGER


def _layout(config: "PipelineConfig") -> Layout:
    usual = config.trainer.batch_size
    cells, places = [], []
    for size in sorted({usual, *_sizes(usual)}):
        fields: dict[str, object] = {"trainer.batch_size": size}
        if size <= (config.trainer.micro_batch or usual):
            fields["trainer.micro_batch"] = None
        elif config.trainer.micro_batch is None:
            fields["trainer.micro_batch"] = usual
        cells.append(Cell(name=f"batch-{size}", fields=fields))
        places.append(Place(block="Batch size", row="score", column=f"{size:,}", cell=cells[-1].name))
    return Layout(cells=cells, places=places)


EXPERIMENT = Experiment(
    name="figure4",
    title="batch size",
    layout=_layout,
    note="The figure is a plot without numbers; the paper finds that very large batches are better. Batches larger "
    "than trainer.micro_batch or, where the preset has none, than its batch are embedded in parts of that size "
    "(gradient caching), with batch norm over each part. It is the size for one replica: on several, give "
    "trainer.micro_batch. The learning rate is the same for all.",
)
