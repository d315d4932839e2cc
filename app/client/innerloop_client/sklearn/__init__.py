"""Estimators of scikit-learn whose `fit` adapts a model on a server.

FewShotRegressor("sinusoid").fit(X, y).predict(queries)
"""

from innerloop_client.arrays import extra

extra("sklearn.base", "scikit-learn", "sklearn", "innerloop_client.sklearn")

from innerloop_client.sklearn.classifier import FewShotClassifier  # noqa: E402
from innerloop_client.sklearn.regressor import FewShotRegressor  # noqa: E402

__all__ = ["FewShotClassifier", "FewShotRegressor"]
