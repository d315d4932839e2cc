"""Training on tables: the rows of many tasks in one file."""
