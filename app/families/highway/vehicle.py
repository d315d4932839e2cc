"""The car that is driven: highway-env's, told by its five manoeuvres, on tyres that slip."""

from typing import Any

import numpy as np
from highway_env.vehicle.controller import MDPVehicle
from highway_env.vehicle.dynamics import BicycleVehicle
from highway_env.vehicle.kinematics import Vehicle

from app.families.highway.world import BRAKING

ROLLING = 3.0
"""In m/s: a slower car does not slip. The dynamical model turns it on the spot."""


class Car(MDPVehicle, BicycleVehicle):  # type: ignore[misc]
    """A car that keeps lane and speed by itself, moved by the dynamical bicycle model.

    The grip bounds what it brakes by, and is the share of the usual stiffness of the tyres: with little of it a lane
    change takes longer and swings.
    """

    grip = 1.0
    stands = False

    def hold(self, grip: float) -> None:
        """Stand on a road of that grip."""
        self.grip = grip
        self.FRICTION_FRONT = grip * BicycleVehicle.FRICTION_FRONT
        self.FRICTION_REAR = grip * BicycleVehicle.FRICTION_REAR

    def speed_control(self, target_speed: float) -> float:
        """What the car speeds up by, in m/s^2."""
        return float(np.clip(super().speed_control(target_speed), -BRAKING * self.grip, BRAKING * self.grip))

    def step(self, dt: float) -> None:
        """Move on."""
        if self.speed < ROLLING:
            self.lateral_speed = self.yaw_rate = 0.0
            Vehicle.step(self, dt)
        else:
            BicycleVehicle.step(self, dt)

    @classmethod
    def create_from(cls, vehicle: Any) -> Any:
        """Where the car was, to draw it there."""
        return MDPVehicle.create_from(vehicle)
