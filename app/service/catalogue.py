"""The models that serve, by name and by digest, and how newer ones replace them while they serve."""

import logging
from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path
from types import MappingProxyType

from app.bundles.bundle import Bundle
from app.bundles.file_names import MANIFEST
from app.errors import BundleError, ExtraMissing, UnknownModel, expectation
from app.service.model import Model
from app.service.record import Adaptation

log = logging.getLogger(__name__)


class Catalogue:
    """One model for each name, and the replaced ones, for adaptations that stay with them.

    A replaced model stays in memory until the process ends.
    """

    def __init__(self, make: Callable[[Bundle], Model]) -> None:
        """make: puts a bundle on the device."""
        self._make = make
        self._by_name: dict[str, Model] = {}
        self._versions: dict[tuple[str, str], Model] = {}  # by name and digest
        self._refused: dict[str, BundleError] = {}

    @property
    def models(self) -> Mapping[str, Model]:
        """The models that serve, by name."""
        return MappingProxyType(self._by_name)

    @property
    def refused(self) -> Mapping[str, BundleError]:
        """The reason for each bundle whose current files cannot be loaded, by name."""
        return MappingProxyType(self._refused)

    def named(self, name: str, place: str = "model") -> Model:
        """The model of that name. Raises UnknownModel. place: where the request names it"""
        model = self._by_name.get(name)
        if model is None:
            raise UnknownModel(name, sorted(self._by_name), place)
        return model

    def serving(self, adaptation: Adaptation, pinned: bool) -> Model:
        """The model for an adaptation: the current one of its model's name, or the one that it was derived with.

        pinned: whether to prefer the one that it was derived with, if the server has it

        Raises UnknownModel where neither is there.
        """
        present = self._by_name.get(adaptation.model)
        if present is not None and present.digest == adaptation.digest:
            return present
        exact = self.exact(adaptation.model, adaptation.digest)
        if exact is not None and (pinned or present is None):
            return exact
        if present is None:
            raise UnknownModel(adaptation.model, sorted(self._by_name), id=adaptation.id)
        return present

    def exact(self, name: str, digest: str) -> Model | None:
        """The model of this name and digest; None where there is none. Bundles of two names may have one digest."""
        return self._versions.get((name, digest))

    def restore(self, name: str, bundle: Bundle) -> Model | None:
        """The model of an older bundle, for the adaptations that are pinned to it; None, and logged, where it fails.

        name: of the model. The bundle may have been kept under another one
        """
        model = self._try(replace(bundle, name=name), {})
        if model is not None:
            self._versions[name, model.digest] = model
        return model

    def make_models(self, bundles: Mapping[str, Bundle], refused: dict[str, BundleError]) -> dict[str, Model]:
        """Models of the bundles that do not serve yet, by name. They serve after `exchange`.

        A bundle whose network raises anything is added to `refused`: the network may be a user's own code.
        """
        new: dict[str, Model] = {}
        for name, bundle in bundles.items():
            if name in self._by_name and self._by_name[name].digest == bundle.manifest.digest:
                continue
            if (model := self._try(bundle, refused)) is not None:
                new[name] = model
        return new

    def _try(self, bundle: Bundle, refused: dict[str, BundleError]) -> Model | None:
        """The model of a bundle, which has answered then; None, with the reason in `refused`, where that fails."""
        try:
            return self._make(bundle)
        except (Exception, SystemExit) as error:
            message = f"{type(error).__name__}: {' '.join(str(error).split())}"
            actual = f"{bundle.manifest.network.name!r}, which fails: {message}"
            reason = expectation("network", "a network that runs", actual)
            log.warning("%s: %s", bundle.name, reason, exc_info=error)
            refused[bundle.name] = BundleError(Path(bundle.name) / MANIFEST, reason)
            return None

    def exchange(
        self, new: Mapping[str, Model], bundles: Mapping[str, Bundle], refused: Mapping[str, BundleError]
    ) -> None:
        """Serve new models, by name. Requests that run finish with the model that they began with.

        bundles: all that are to serve; where a bundle serves already, its evaluation and calibration are exchanged
        refused: why a bundle cannot be served; where an older one of its name serves, that one goes on
        """
        for name, model in new.items():
            log.info("%s: serving version %s", name, model.digest[:12])
        for name in self._by_name.keys() - bundles.keys() - refused.keys():
            log.info("%s: no longer served, because it is no longer in the models folder", name)
            del self._by_name[name]
        for name in (self._by_name.keys() & bundles.keys()) - new.keys() - refused.keys():
            self._by_name[name].bundle = bundles[name]
        for error in refused.values():
            if isinstance(error, ExtraMissing):
                log.warning("bundle not served: %s", error)
            else:
                log.error("bundle refused: %s", error)
        self._refused = dict(refused)
        self._by_name |= new
        self._versions |= {(name, model.digest): model for name, model in self._by_name.items()}
