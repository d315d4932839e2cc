"""The image reference of a bundle: what the images of its training and validation tasks are like."""

from app.bundles.bundle import Bundle
from app.families.family import Family
from app.learn.image_ood import ImageReference, reference_of
from app.training.family_and_network import device_of
from app.training.tasks import Setting, draw_held_out

TASKS, QUERIES = 600, 5
"""Tasks of each split, and images of each of their classes."""
SEED = 20150603


def make_image_reference(bundle: Bundle, family: Family) -> ImageReference | None:
    """The image reference of a bundle that takes images; None for any other."""
    schema = bundle.manifest.schema
    if not schema.image:
        return None
    setting = Setting(1, family.targets if bundle.manifest.kind == "classification" else None)
    draws = (
        draw_held_out(family, setting, device_of(bundle), tasks=TASKS, queries=QUERIES, split=split, seed=SEED)
        for split in ("training", "validation")
    )
    images = [tasks.query.inputs.reshape(-1, schema.features).cpu() for tasks in draws]
    return reference_of(images, schema.shape, TASKS, SEED)
