"""Fitting an ensemble to the tasks of a table, one file for each kind of member."""
