"""Who else drives: highway-env's drivers by the intelligent driver model, computed in plain numbers, twice as fast."""

import math
from typing import Any

from highway_env.road.lane import StraightLane
from highway_env.vehicle.behavior import IDMVehicle
from highway_env.vehicle.kinematics import Vehicle


class Driver(IDMVehicle):  # type: ignore[misc]
    """A driver whose time gap, boldness and brakes a world sets. stands: in a jam."""

    speed: float
    stands = False

    def act(self, action: Any = None) -> None:
        """Choose how to steer and to speed up, or stand."""
        if self.stands:
            self.action = {"steering": 0.0, "acceleration": 0.0}
        else:
            super().act(action)

    def acceleration(self, ego_vehicle: Any, front_vehicle: Any = None, rear_vehicle: Any = None) -> float:
        """What somebody speeds up by behind somebody, as the parent computes it."""
        if not ego_vehicle or not isinstance(ego_vehicle, Vehicle):
            return 0.0
        wanted = float(getattr(ego_vehicle, "target_speed", 0))
        if ego_vehicle.lane and ego_vehicle.lane.speed_limit is not None:
            wanted = min(max(wanted, 0.0), float(ego_vehicle.lane.speed_limit))
        share = max(float(ego_vehicle.speed), 0.0) / max(abs(wanted), 0.01)
        found = self.COMFORT_ACC_MAX * (1 - math.pow(share, self.DELTA))
        if front_vehicle:
            gap = ego_vehicle.lane_distance_to(front_vehicle)
            gap = gap if abs(gap) > 0.01 else 0.01
            found -= self.COMFORT_ACC_MAX * (self.desired_gap(ego_vehicle, front_vehicle) / gap) ** 2
        return float(found)

    def desired_gap(self, ego_vehicle: Any, front_vehicle: Any = None, projected: bool = True) -> float:
        """How far somebody would like to be behind somebody, in metres."""
        speed, heading = float(ego_vehicle.speed), float(ego_vehicle.heading)
        theirs = float(front_vehicle.speed) * math.cos(float(front_vehicle.heading) - heading)
        braking = math.sqrt(-self.COMFORT_ACC_MAX * self.COMFORT_ACC_MIN)
        return float(self.DISTANCE_WANTED + speed * self.TIME_WANTED + speed * (speed - theirs) / (2 * braking))

    def steering_control(self, target_lane_index: Any) -> float:
        """How the wheel is turned to follow a lane, in radians."""
        lane = self.road.network.get_lane(target_lane_index)
        if type(lane) is not StraightLane:
            return float(super().steering_control(target_lane_index))
        speed = float(self.speed)
        speed = speed if abs(speed) > 0.01 else 0.01
        sideways = self.KP_LATERAL * (float(lane.start[1]) - float(self.position[1])) / speed
        wanted = min(max(math.asin(min(max(sideways, -1.0), 1.0)), -math.pi / 4), math.pi / 4)
        rate = self.KP_HEADING * (wanted - float(self.heading))
        slip = math.asin(min(max(self.LENGTH / 2 / speed * rate, -1.0), 1.0))
        most = float(self.MAX_STEERING_ANGLE)
        return min(max(math.atan(2 * math.tan(slip)), -most), most)

    def step(self, dt: float) -> None:
        """Move on."""
        self.timer += dt
        self.clip_actions()
        slip = math.atan(math.tan(self.action["steering"]) / 2)
        speed, course = float(self.speed), float(self.heading) + slip
        self.position[0] += speed * math.cos(course) * dt
        self.position[1] += speed * math.sin(course) * dt
        self.heading += speed * math.sin(slip) / (self.LENGTH / 2) * dt
        self.speed = max(speed + self.action["acceleration"] * dt, 0.0)  # the parent rolls back from a jam
        self.impact = None
        self.on_state_update()
