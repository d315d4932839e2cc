"""The car that is driven: highway-env's, told by its five manoeuvres, on tyres that slip."""

from typing import Any

import numpy as np
from highway_env.vehicle.controller import MDPVehicle
from highway_env.vehicle.dynamics import BicycleVehicle

from app.families.highway.world import BRAKING


class Car(MDPVehicle, BicycleVehicle):  # type: ignore[misc]
    """A car that keeps lane and speed by itself, moved by the dynamical bicycle model.

    The grip bounds what it brakes by, and is the share of the usual stiffness of the tyres: with little of it a lane
    change takes longer and swings.
    """

    grip = 1.0

    def hold(self, grip: float) -> None:
        """Stand on a road of that grip."""
        self.grip = grip
        self.FRICTION_FRONT = grip * BicycleVehicle.FRICTION_FRONT
        self.FRICTION_REAR = grip * BicycleVehicle.FRICTION_REAR

    def speed_control(self, target_speed: float) -> float:
        """What the car speeds up by, in m/s^2."""
        return float(np.clip(super().speed_control(target_speed), -BRAKING * self.grip, BRAKING * self.grip))

    @classmethod
    def create_from(cls, vehicle: Any) -> Any:
        """Where the car was, to draw it there."""
        return MDPVehicle.create_from(vehicle)
