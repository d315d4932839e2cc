"""How the bundles are trained: one recipe a file, found by the name of its family."""
