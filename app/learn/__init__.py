"""The mathematics: one inner loop, its rules and losses, and the outer loops that train it. Knows only torch."""
