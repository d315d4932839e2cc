"""What can be done with an adaptation, written once for both clients."""

from typing import Any, TypeVar

from innerloop_client.adaptation_fields import AdaptationFields
from innerloop_client.blocking import blocking, changing
from innerloop_client.inputs import read_support
from innerloop_client.predicting import predict
from innerloop_client.session import Call, new_key

A = TypeVar("A", bound="AsyncAdaptation")


class AsyncAdaptation(AdaptationFields):
    """An adaptation whose methods are awaited."""

    async def predict(
        self,
        queries: Any,
        *,
        interval: float | None = None,
        details: bool = False,
        sample: bool | None = None,
        seed: int | None = None,
        pinned: bool | None = None,
        timeout: float | None = None,
    ) -> Any:
        """Predict the targets of queries.

        Returns the predictions in the form of the queries: a list for a list, an array for an array, a tensor for a
        tensor, a Series for a DataFrame (a DataFrame if there are several targets). With `interval` or `details`, a
        `Prediction` that has them and more.

        interval: the share of true values between `lower` and `upper`, such as 0.9
        details: return all that the server says, such as `unlike` and `std`
        sample, seed: for policies, draw the actions
        pinned: True predicts with the version of the model that the adaptation was made with
        timeout: seconds, instead of the client's
        """
        fields = {
            "adaptation_id": self.id, "interval": interval, "sample": sample, "seed": seed, "pinned": pinned,
        }  # fmt: skip
        result = await predict(self._session, self.model, queries, fields, timeout)
        return result if details or interval is not None else result.predictions

    async def extend(self: A, x: Any = None, y: Any = None, *, timeout: float | None = None) -> A:
        """Add examples and adapt again, as if all examples had been there at first. Returns the adaptation itself."""
        support = await read_support(self._session, self.model, x, y)
        call = Call.of_body(f"/adaptations/{self.id}/support", support, key=new_key())
        self._read((await self._session.send(call, timeout)).body)
        return self


class Adaptation(AdaptationFields):
    """An adaptation whose methods block."""

    predict = blocking(AsyncAdaptation.predict)
    extend = changing(AsyncAdaptation.extend)
