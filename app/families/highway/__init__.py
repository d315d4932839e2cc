"""Driving in simulated worlds: roads, traffic, weather and drivers. All but `world` and `planner` need highway-env."""
