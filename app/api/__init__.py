"""HTTP: routes, the codec between bodies and arrays, and problem documents."""
