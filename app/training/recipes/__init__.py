"""How the bundles are trained: a recipe a file, found by the name of its family."""
