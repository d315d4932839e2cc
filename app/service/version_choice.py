"""Which version of a model serves an adaptation: the newest that takes its examples, or the one that it stays with."""

from collections.abc import Callable, Sequence

from app.bundles.bundle import Bundle
from app.errors import Outgrown, PinnedBundleGone, UnknownModel, UnknownVersion
from app.service.catalogue import Catalogue
from app.service.columns_by_name import Columns, columns_of
from app.service.health import Health
from app.service.model import Model
from app.service.model_compatibility import Compatibility
from app.service.pinned_bundles import BundleStore, PinnedBundles
from app.service.record import Adaptation
from app.service.support_set import SupportSet


class VersionChoice:
    """Chooses models from those that serve, and from the bundles that adaptations are pinned to."""

    def __init__(self, catalogue: Catalogue, bundles: BundleStore, health: Health | None = None) -> None:
        """bundles: where those are kept; health: receives a report when one of them is damaged."""
        self._catalogue = catalogue
        self._kept = PinnedBundles(bundles, health)
        self._compatibility = Compatibility()

    def named(self, name: str, place: str = "model") -> Model:
        """The model of that name. Raises UnknownModel. place: where the request names it"""
        return self._catalogue.named(name, place)

    def of(self, adaptation: Adaptation, pinned: bool | None = None) -> Model:
        """The model that serves an adaptation. Raises UnknownModel and Outgrown."""
        pinned = adaptation.pinned if pinned is None else pinned
        model = self._catalogue.serving(adaptation, pinned)
        if model.digest != adaptation.digest and not self._compatibility(model, adaptation):
            model = self._catalogue.serving(adaptation, pinned=True)
            if model.digest != adaptation.digest:
                raise Outgrown(adaptation.model)
        return model

    def derived(self, adaptation: Adaptation) -> Model | None:
        """The model that has derived an adaptation, or else the present one of its name; None if there is neither."""
        try:
            return self._catalogue.serving(adaptation, pinned=True)
        except UnknownModel:
            return None

    def refuse(self, model: Model, adaptation: Adaptation) -> None:
        """Remember that the encoder of a model refused an example: another version serves this revision from now on."""
        self._compatibility.refuse(model, adaptation)

    async def version(self, name: str, digest: str) -> Model:
        """That version of a model, from the store if necessary.

        Raises UnknownModel, UnknownVersion and StoreFailed.
        """
        model = await self._version(name, digest)
        if model is None:
            self.named(name, "path.name")
            raise UnknownVersion(name, digest)
        return model

    async def _version(self, name: str, digest: str) -> Model | None:
        """The model with a name and a digest; None if the server has it no longer."""
        model = self._catalogue.exact(name, digest)
        if model is None and (bundle := await self._kept.read(digest)) is not None:
            model = self._catalogue.restore(name, bundle)
        return model

    async def restore(self, adaptation: Adaptation) -> None:
        """Load the bundle that an adaptation is pinned to, from the store if necessary. Raises PinnedBundleGone."""
        model = await self._version(adaptation.model, adaptation.digest)
        if model is None:
            raise PinnedBundleGone(adaptation.model, adaptation.digest)
        # that of a record that an older server wrote is not kept yet
        await self._kept.keep(model.bundle, adaptation.expires_at)

    async def keep(self, bundle: Bundle, until: float) -> None:
        """Keep a bundle for an adaptation that is pinned to it and expires at `until`. Raises StoreFailed."""
        await self._kept.keep(bundle, until)

    def columns(self, support: SupportSet, model: Model, version: str | None) -> Sequence[Columns]:
        """The columns of a support set that a model has read. version: as in an `AdaptCommand`"""
        meant = model if version is None else self._catalogue.exact(model.bundle.name, version)
        bundle = None if meant is None else meant.bundle
        return columns_of(support, model.bundle, bundle, has_version=version is not None)

    async def collect(self, clock: Callable[[], float]) -> None:
        """Remove bundles that no adaptation is pinned to any more, again and again."""
        await self._kept.collect(clock)

    async def check(self) -> None:
        """Find out whether damaged bundles that adaptations are pinned to can be loaded again."""
        await self._kept.check()
