"""Driving in a simulated world: roads, traffic, weather, and who drives there. All but `world` needs highway-env."""
