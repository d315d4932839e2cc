"""The command `innerloop`, a file for each group of commands."""
