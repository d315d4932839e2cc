"""The checks of `innerloop doctor`, a file for each part of the machine. None of them changes anything."""
