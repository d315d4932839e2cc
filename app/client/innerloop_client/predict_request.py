"""POST /predict."""

from collections.abc import Mapping
from typing import Any

from innerloop_client.descriptions import Models, check_expected, names_of, reading
from innerloop_client.inputs import count_inputs, read_inputs, repeatable
from innerloop_client.model_versions import Described, Version, for_version
from innerloop_client.output_forms import PandasForm, form_of
from innerloop_client.prediction import Prediction, in_form, read_prediction
from innerloop_client.session import Call, Session
from innerloop_client.support_set import Examples


async def predict(
    session: Session,
    model: str,
    queries: Any,
    fields: Mapping[str, Any],
    examples: Examples | None = None,
    version: Version | None = None,
) -> Prediction:
    """Predict.

    fields: the body besides the queries and the examples; those that are None are left out
    version: as for `for_version`
    """
    queries = repeatable(queries)

    async def request(models: Described) -> Prediction:
        return await predict_once(session, models, model, queries, fields, examples)

    return await for_version(session, request, version)


async def predict_once(
    session: Session,
    models: Described,
    model: str,
    queries: Any,
    fields: Mapping[str, Any],
    examples: Examples | None = None,
) -> Prediction:
    """Predict with the version that `models` describes. Raises OtherVersion if another one answers."""
    form = form_of(queries)
    content = {name: value for name, value in fields.items() if value is not None}
    if examples is not None and (support := await examples.read(models, model)):
        content["support"] = support
    content["queries"] = await read_inputs(models, model, queries, "queries")
    names = await target_names(models, model) if isinstance(form, PandasForm) else []
    call = Call.of_body("/predict", content | models.condition, accept=form.accept)
    body = (await session.send(call)).body
    with reading("predictions"):
        if "adaptation_id" in content:
            check_expected(body, {"adaptation_id": content["adaptation_id"]})
        prediction = read_prediction(body, form, count_inputs(content["queries"]), model)
        return in_form(prediction, form, names)


async def target_names(models: Models, model: str) -> list[str]:
    """The names of the targets of a model; none for policies."""
    described = await models.model(model)
    with reading("a model"):
        return names_of(described.get("target_columns", ()))
