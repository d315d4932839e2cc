"""Reading texts with labels, and which labels are for training."""
