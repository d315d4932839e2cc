"""Training on texts with labels: what `innerloop train --texts` runs."""
