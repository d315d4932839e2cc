"""Training on tables: the rows of many tasks in one file.

`train_table` does what `innerloop train --table` does:

    from app.training.tables import train_table

    train_table(frame, task="patient", target="concentration")
"""

from app.training.tables.train_table import train_table

__all__ = ["train_table"]
