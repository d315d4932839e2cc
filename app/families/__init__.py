"""The problems, one file each. `registry` finds them, and those of other packages."""
