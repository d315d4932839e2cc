"""The car that is driven: highway-env's car with its five manoeuvres, on tyres that slip."""

from typing import Any

import numpy as np
from highway_env.vehicle.controller import MDPVehicle
from highway_env.vehicle.dynamics import BicycleVehicle
from highway_env.vehicle.kinematics import Vehicle

from app.families.highway.world_parameters import BRAKING

ROLLING = 3.0
"""In m/s: a slower car does not slip, because the dynamical model would turn it on the spot."""


class Car(MDPVehicle, BicycleVehicle):  # type: ignore[misc]
    """A car that keeps lane and speed by itself, moved by the dynamical bicycle model.

    The grip bounds the braking, and scales the stiffness of the tyres: with little grip a lane change takes longer and
    swings.
    """

    grip = 1.0
    stands = False

    def set_grip(self, grip: float) -> None:
        """Put the car on a road of that grip."""
        self.grip = grip
        self.FRICTION_FRONT = grip * BicycleVehicle.FRICTION_FRONT
        self.FRICTION_REAR = grip * BicycleVehicle.FRICTION_REAR

    def speed_control(self, target_speed: float) -> float:
        """The acceleration towards a speed, in m/s^2."""
        return float(np.clip(super().speed_control(target_speed), -BRAKING * self.grip, BRAKING * self.grip))

    def step(self, dt: float) -> None:
        """Move for `dt` seconds."""
        if self.speed < ROLLING:
            self.lateral_speed = self.yaw_rate = 0.0
            Vehicle.step(self, dt)
        else:
            BicycleVehicle.step(self, dt)

    @classmethod
    def create_from(cls, vehicle: Any) -> Any:
        """A copy of the car, to draw where it was."""
        return MDPVehicle.create_from(vehicle)
