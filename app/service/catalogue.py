"""The models that serve, by name and by digest, and how they are exchanged while they do."""

import logging
from collections.abc import Callable, Mapping
from types import MappingProxyType

from app.bundles import Bundle
from app.errors import BundleError, UnknownModel
from app.service.model import Model

log = logging.getLogger(__name__)


class Catalogue:
    """One model a name, and those that newer ones have replaced, for adaptations that stay with them.

    An older model stays in memory until the process ends, or longer as long as a folder holds its bundle.
    """

    def __init__(self, make: Callable[[Bundle], Model]) -> None:
        """make: puts a bundle on the device."""
        self._make = make
        self._named: dict[str, Model] = {}
        self._by_digest: dict[str, Model] = {}
        self._refused: dict[str, BundleError] = {}

    @property
    def models(self) -> Mapping[str, Model]:
        """The models that serve, by name."""
        return MappingProxyType(self._named)

    @property
    def refused(self) -> Mapping[str, BundleError]:
        """Why each of the other bundles does not serve, or not in its present form."""
        return MappingProxyType(self._refused)

    def named(self, name: str) -> Model:
        """The model of that name. Raises UnknownModel."""
        model = self._named.get(name)
        if model is None:
            raise UnknownModel(name, sorted(self._named))
        return model

    def serving(self, name: str, digest: str, pinned: bool) -> Model:
        """The model for an adaptation that was derived with `digest`: the present one of the name, or that very one.

        pinned: whether that very one is preferred, if it is still there
        Raises UnknownModel where neither is.
        """
        present = self._named.get(name)
        if present is not None and present.digest == digest:
            return present
        exact = self._by_digest.get(digest)
        if exact is not None and (pinned or present is None):
            return exact
        return self.named(name)

    def new(self, bundles: Mapping[str, Bundle]) -> dict[str, Model]:
        """Models of those bundles that do not serve yet, by name. They do after `exchange`."""
        return {
            name: self._make(bundle)
            for name, bundle in bundles.items()
            if name not in self._named or self._named[name].digest != bundle.manifest.digest
        }

    def exchange(
        self, new: Mapping[str, Model], bundles: Mapping[str, Bundle], refused: Mapping[str, BundleError]
    ) -> None:
        """Serve new models, by name; requests that run finish with the model they began with.

        bundles: all that are to serve; of those that do so already, what their answers do not depend on is exchanged
        refused: why a bundle cannot be served; where an older one of its name serves, it goes on
        """
        for name, model in new.items():
            log.info("%s: %s serves", name, model.digest[:12])
        for name in self._named.keys() - bundles.keys() - refused.keys():
            log.info("%s: no longer in the models folder", name)
            del self._named[name]
        for name in self._named.keys() & bundles.keys() - new.keys():
            self._named[name].bundle = bundles[name]
        for error in refused.values():
            log.error("bundle refused: %s", error)
        self._refused = dict(refused)
        self._named |= new
        self._by_digest |= {model.digest: model for model in self._named.values()}
