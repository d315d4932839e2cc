"""The types of the columns of a table, one file each."""
