"""Loads the model that made stored embeddings, so that new sounds get vectors of the same kind."""

from collections.abc import Sequence

from beam_jobs.embedding.embedder import Embedder, Loader
from components.errors import UserError
from pipeline.serving.embedding import exported_model, outputs
from pipeline.vectors.stored import StoredVectors


def load(model: str, *, stored: StoredVectors) -> Embedder:
    """Loads a model that the Exporter wrote.

    Raises:
        UserError: There is no such model, it is damaged, or the embeddings are of another one.
    """
    return check_made(stored, model=model).load()


def check_made(stored: StoredVectors, *, model: str) -> Loader:
    """Checks that a model made embeddings: by its digest if they name it, and by their names and sizes.

    Returns:
        The model's loader. Of a folder of versions it stays with the same one, whatever is pushed meanwhile.

    Raises:
        UserError: It is no model that the Exporter wrote, or the embeddings are of another one.
    """
    exported = exported_model.given(model)
    exported.check()
    dims = exported.info().dims
    sizes = [dims.get(name) for name in columns(dims, stored=stored)]
    if sizes != list(stored.dims) and sum(size or 0 for size in sizes) != stored.dim:
        has = ", ".join(f"{name} {dim:,}" for name, dim in dims.items())
        raise UserError(
            f"--model {model} has other embeddings ({has}) than --embeddings {stored.path} (of {stored.dim:,} "
            "numbers): give the model that made them, or embed again."
        )
    if stored.model_digest and stored.model_digest != exported.digest():
        raise UserError(
            f"--model {model} is not the model that made --embeddings {stored.path}: give that one, or embed again."
        )
    return exported


def columns(dims: Sequence[str], *, stored: StoredVectors) -> tuple[str, ...]:
    """Returns the embeddings of a model that are side by side in a stored vector.

    Args:
        dims: Names of the model's embeddings.
        stored: The stored vectors. A file holds all embeddings of the model as `embedding`.
    """
    return (
        tuple(dims)
        if tuple(stored.columns) == (outputs.WHOLE,) and outputs.WHOLE not in dims
        else tuple(stored.columns)
    )
