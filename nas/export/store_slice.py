"""One store's share of a panel, and of the networks that were trained on all stores.

Of an embedding a store needs only the rows of its own values, and row 0 for those unseen. What is cut out computes
the same forecasts for this store, because no other row is ever looked up for it.
"""

from __future__ import annotations

import json
from dataclasses import dataclass, replace

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import numpy_helper
from safetensors.torch import save

from nas.data.panel import Panel
from nas.errors import CandidateFault, RequestError
from nas.export.artifact import Artifact, example_request, parity
from nas.export.embeddings import stored, tables
from nas.export.onnx import forecast, graph_digest
from nas.export.sweep import STORE
from nas.export.targets import export
from nas.models.forecaster import Forecaster, build
from nas.models.shape import Shape


@dataclass(frozen=True, eq=False, slots=True)
class StoreSlice:
    """What one store keeps.

    Attributes:
        panel: The store's series; their codes and vocabularies are its own.
        rows: Per static covariate, which rows of a table of all stores are kept, int64, 0 first.
    """

    panel: Panel
    rows: tuple[NDArray[np.int64], ...]

    @classmethod
    def of(cls, panel: Panel, store: str) -> StoreSlice:
        """Cut a store out of a panel.

        Raises:
            RequestError: The panel has no stores, or not this one.
        """
        if STORE not in panel.stat_names:
            raise RequestError(
                f"These series have no static column {STORE} (they have {', '.join(panel.stat_names) or 'none'}), so "
                "they cannot be packed by store; name it under stat, or leave the store out."
            )
        column = panel.stat_names.index(STORE)
        known = panel.stat_vocab[column]
        if store not in known:
            shown = ", ".join(known[:10]) + (", …" if len(known) > 10 else "")
            raise RequestError(f"There is no store {store!r} in the data; expected one of {shown}.")
        chosen = np.flatnonzero(panel.stat[:, column] == known.index(store) + 1)
        codes = panel.stat[chosen]
        rows = tuple(np.union1d([0], codes[:, k]) for k in range(codes.shape[1]))
        words = zip(panel.stat_vocab, rows, strict=True)
        own = replace(
            panel,
            ids=tuple(panel.ids[s] for s in chosen),
            **{name: getattr(panel, name)[chosen] for name in ("y", "mask", "hist", "futr")},
            stat=np.stack([np.searchsorted(kept, codes[:, k]) for k, kept in enumerate(rows)], axis=1),
            stat_vocab=tuple(tuple(vocabulary[row - 1] for row in kept[1:]) for vocabulary, kept in words),
        )
        return cls(own, rows)

    def forecaster(self, model: Forecaster) -> Forecaster:
        """The same network with this store's rows only."""
        small = build(model.architecture, self.shape(model.shape))
        weights = dict(model.state_dict())
        for name, column in tables(model).items():
            weights[name] = weights[name][self.rows[column]]
        small.load_state_dict(weights)
        return small.eval()

    def weights(self, model: Forecaster) -> bytes:
        """This store's share of a network as safetensors."""
        notes = {"architecture": json.dumps(model.architecture.to_dict())}
        data: bytes = save(self.forecaster(model).state_dict(), metadata=notes)
        return data

    def export(self, model: Forecaster) -> Artifact:
        """Export this store's share of a network for its runtime and in its precision.

        int8 is cut after it was quantized, because a table's scale follows from all of its rows.

        Raises:
            CandidateFault: It cannot be exported faithfully.
        """
        own = self.forecaster(model)
        if model.architecture.precision != "int8":
            return export(own)
        whole = export(model)
        data = self._cut(whole.model, model, own)
        difference = parity(own, lambda inputs: forecast(data, inputs))
        return replace(whole, model=data, inputs=example_request(own), graph=graph_digest(data), parity=difference)

    def shape(self, whole: Shape) -> Shape:
        """The shape of this store's network."""
        return replace(whole, vocabulary=tuple(len(rows) - 1 for rows in self.rows))

    def _cut(self, data: bytes, model: Forecaster, own: Forecaster) -> bytes:
        """An exported model of all stores with this one's rows and shape."""
        proto, names = onnx.load_from_string(data), tables(model)
        found = list(stored(proto, names))
        for name in set(names) - {tensor.name.removesuffix("_quantized") for tensor, _ in found}:
            if any(not np.array_equal(self.rows[names[name]], rows) for rows in self.rows):
                raise CandidateFault(
                    f"The exporter stored the equal tables of two static columns once, and this store keeps other rows "
                    f"of each; export it in fp32, or leave one of the columns out ({model.architecture})."
                )
        for tensor, column in found:
            tensor.CopyFrom(numpy_helper.from_array(numpy_helper.to_array(tensor)[self.rows[column]], tensor.name))
        notes = {note.key: note.value for note in proto.metadata_props}
        onnx.helper.set_model_props(proto, {**notes, "nas.shape": json.dumps(own.shape.to_dict())})
        cut: bytes = proto.SerializeToString(deterministic=True)
        return cut
