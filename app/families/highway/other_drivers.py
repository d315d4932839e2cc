"""The other drivers: highway-env's, by the intelligent driver model, computed in plain numbers and twice as fast."""

import math
from typing import Any

from highway_env.road.lane import StraightLane
from highway_env.vehicle.behavior import IDMVehicle
from highway_env.vehicle.kinematics import Vehicle


class Driver(IDMVehicle):  # type: ignore[misc]
    """A driver whose time gap, boldness and brakes the world sets. stands: whether it stands in a jam."""

    speed: float
    stands = False

    def act(self, action: Any = None) -> None:
        """Choose steering and acceleration, or stand."""
        if self.stands:
            self.action = {"steering": 0.0, "acceleration": 0.0}
        else:
            super().act(action)

    def acceleration(self, ego_vehicle: Any, front_vehicle: Any = None, rear_vehicle: Any = None) -> float:
        """The acceleration of a vehicle behind another, as the parent computes it."""
        if not ego_vehicle or not isinstance(ego_vehicle, Vehicle):
            return 0.0
        desired = float(getattr(ego_vehicle, "target_speed", 0))
        if ego_vehicle.lane and ego_vehicle.lane.speed_limit is not None:
            desired = min(max(desired, 0.0), float(ego_vehicle.lane.speed_limit))
        share = max(float(ego_vehicle.speed), 0.0) / max(abs(desired), 0.01)
        acceleration = self.COMFORT_ACC_MAX * (1 - math.pow(share, self.DELTA))
        if front_vehicle:
            gap = ego_vehicle.lane_distance_to(front_vehicle)
            gap = gap if abs(gap) > 0.01 else 0.01
            acceleration -= self.COMFORT_ACC_MAX * (self.desired_gap(ego_vehicle, front_vehicle) / gap) ** 2
        return float(acceleration)

    def desired_gap(self, ego_vehicle: Any, front_vehicle: Any = None, projected: bool = True) -> float:
        """The desired distance of a vehicle behind another, in metres."""
        speed, heading = float(ego_vehicle.speed), float(ego_vehicle.heading)
        front_speed = float(front_vehicle.speed) * math.cos(float(front_vehicle.heading) - heading)
        braking = math.sqrt(-self.COMFORT_ACC_MAX * self.COMFORT_ACC_MIN)
        return float(self.DISTANCE_WANTED + speed * self.TIME_WANTED + speed * (speed - front_speed) / (2 * braking))

    def steering_control(self, target_lane_index: Any) -> float:
        """The steering angle that follows a lane, in radians."""
        lane = self.road.network.get_lane(target_lane_index)
        if type(lane) is not StraightLane:
            return float(super().steering_control(target_lane_index))
        speed = float(self.speed)
        speed = speed if abs(speed) > 0.01 else 0.01
        sideways = self.KP_LATERAL * (float(lane.start[1]) - float(self.position[1])) / speed
        desired = min(max(math.asin(min(max(sideways, -1.0), 1.0)), -math.pi / 4), math.pi / 4)
        rate = self.KP_HEADING * (desired - float(self.heading))
        slip = math.asin(min(max(self.LENGTH / 2 / speed * rate, -1.0), 1.0))
        max_angle = float(self.MAX_STEERING_ANGLE)
        return min(max(math.atan(2 * math.tan(slip)), -max_angle), max_angle)

    def step(self, dt: float) -> None:
        """Move for `dt` seconds."""
        self.timer += dt
        self.clip_actions()
        slip = math.atan(math.tan(self.action["steering"]) / 2)
        speed, course = float(self.speed), float(self.heading) + slip
        self.position[0] += speed * math.cos(course) * dt
        self.position[1] += speed * math.sin(course) * dt
        self.heading += speed * math.sin(slip) / (self.LENGTH / 2) * dt
        self.speed = max(speed + self.action["acceleration"] * dt, 0.0)  # the parent would roll back from a jam
        self.impact = None
        self.on_state_update()
