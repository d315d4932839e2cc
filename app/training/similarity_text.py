"""What the card of a bundle of texts says of its probabilities and of `unlike`."""

from app.bundles.manifest import Manifest
from app.training.evaluation_tables import percent
from app.training.similarity_calibration import FALSE_ALARM_RATE


def similarity_text(manifest: Manifest) -> str:
    """How they were calibrated, above the table of how well they hold."""
    calibration = manifest.calibration
    *others, last = map(str, calibration.shots)
    names = " The words of its label count as one of them." if manifest.label_names else ""
    return f"""The response has `probabilities`. Of the labels with a probability of 97 %, about 97 % are right. For
that, the network's outputs are divided by {calibration.temperature:.2f} (the *temperature*) before the *softmax* turns
them into probabilities. The temperature was chosen on {calibration.tasks} validation tasks of each size.

The response also has `unlike`, which marks a text that is like no class of the support set. A marked text still gets a
label. It is marked if the largest cosine between its embedding and an example, or the mean of the examples of a class,
is below a threshold. The thresholds are such that at most {percent(FALSE_ALARM_RATE)} of the texts of known classes are
marked: this is the upper end of a 95 % confidence interval over the labels of validation tasks with
{", ".join(others)} or {last} examples per class.{names}

In the table, lower is better in the first three columns. In the last, higher is better: its texts come from classes
that have no example. The negative log-likelihood is the mean of -ln p, where p is the probability of the true label: 0
at best, 0.69 if p is 50 %. Its unit is the nat. For the expected calibration error, predictions are grouped by the
probability of the predicted label, and the mean probability of each group is compared with the share of predictions
that are right: 0 % at best."""
