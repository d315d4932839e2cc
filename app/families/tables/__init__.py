"""Tables of tasks: reading files, finding out what the columns are, splitting tasks. Needs the extra `tables`."""
