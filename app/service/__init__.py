"""Online, without HTTP: what adapts, predicts and remembers."""
