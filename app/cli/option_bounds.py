"""The largest whole numbers of the options. More would be a mistake, and more than 64 bits can hold fails in torch.

A model may allow less, which the server or the bundle then says.
"""

MAX_TASKS = 100_000
MAX_WORLDS = 10_000
MAX_EPISODES = 1_000
"""In each world and stage."""
MAX_STAGES = 1_000
MAX_EXAMPLES = 100_000
"""Of a task, or of each of its classes."""
MAX_WAYS = 100_000
MAX_STEPS = 1_000_000
"""Of the inner loop."""
MAX_NUMBERS = 1_000_000
"""In an input or a target."""
