"""POST /predict."""

from collections.abc import Mapping
from typing import Any

from innerloop_client.descriptions import check_expected, names_of, reading
from innerloop_client.inputs import count_inputs, read_inputs
from innerloop_client.output_forms import PandasForm, form_of
from innerloop_client.prediction import Prediction, in_form, read_prediction
from innerloop_client.session import Call, Session


async def predict(
    session: Session, model: str, queries: Any, fields: Mapping[str, Any], timeout: float | None = None
) -> Prediction:
    """Predict. fields: the body besides the queries; those that are None are left out. See `Session.within`."""
    session = session.within(timeout)
    form = form_of(queries)
    question = {name: value for name, value in fields.items() if value is not None}
    question["queries"] = await read_inputs(session, model, queries, "queries")
    names = await target_names(session, model) if isinstance(form, PandasForm) else []
    body = (await session.send(Call.of_body("/predict", question, accept=form.accept))).body
    with reading("predictions"):
        if "adaptation_id" in question:
            check_expected(body, {"adaptation_id": question["adaptation_id"]})
        prediction = read_prediction(body, form, count_inputs(question["queries"]), model)
        return in_form(prediction, form, names)


async def target_names(session: Session, model: str) -> list[str]:
    """The names of the targets of a model; none for policies."""
    described = await session.model(model)
    with reading("a model"):
        return names_of(described.get("target_columns", ()))
