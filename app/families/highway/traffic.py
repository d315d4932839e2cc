"""highway-env's road where all lanes but ramps run along x: the same results, computed faster in plain numbers."""

import math
from typing import Any

from highway_env.road.lane import StraightLane
from highway_env.road.road import Road, RoadNetwork


class Network(RoadNetwork):  # type: ignore[misc]
    """A network of lanes that finds the lane a car is on."""

    def get_closest_lane_index(self, position: Any, heading: Any = None) -> Any:
        """The nearest lane, as the parent computes it."""
        x, y, turn = float(position[0]), float(position[1]), _turn(heading)
        min_distance, index = math.inf, None
        for start, ends in self.graph.items():
            for end, lanes in ends.items():
                for place, lane in enumerate(lanes):
                    if type(lane) is StraightLane:
                        along = x - lane.start[0]
                        distance = abs(y - lane.start[1]) + max(along - lane.length, 0) + max(-along, 0) + turn
                    else:
                        distance = lane.distance_with_heading(position, heading)
                    if distance < min_distance:
                        min_distance, index = distance, (start, end, place)
        return index


def _turn(heading: Any) -> float:
    return 0.0 if heading is None else abs((float(heading) + math.pi) % (2 * math.pi) - math.pi)


class Lanes(Road):  # type: ignore[misc]
    """A road that finds the vehicles before and behind a car, unlike the parent also where a lane changes its name."""

    def step(self, dt: float) -> None:
        """Move all vehicles, and find the collisions of those that check for them."""
        for vehicle in self.vehicles:
            vehicle.step(dt)
        for one in self.vehicles:
            if one.check_collisions:
                for other in (*self.vehicles, *self.objects):
                    one.handle_collisions(other, dt)

    def neighbour_vehicles(self, vehicle: Any, lane_index: Any = None) -> tuple[Any, Any]:
        """The nearest vehicles before and behind on a lane."""
        lane = self.network.get_lane(lane_index or vehicle.lane_index)
        if type(lane) is not StraightLane:
            before, behind = super().neighbour_vehicles(vehicle, lane_index)
            return before, behind
        x, y, half = float(vehicle.position[0]), float(lane.start[1]), lane.width / 2 + 1
        before, behind, ahead, back = None, None, math.inf, -math.inf
        for other in (*self.vehicles, *self.objects):
            if other is vehicle or abs(other.position[1] - y) > half:
                continue
            gap = other.position[0] - x
            if 0 <= gap <= ahead:
                before, ahead = other, gap
            elif back < gap < 0:
                behind, back = other, gap
        return before, behind


def fast_road(road: Any) -> Any:
    """The same road without its vehicles, as `Lanes`."""
    network = Network()
    network.graph = road.network.graph
    lanes = Lanes(network, [], list(road.objects), road.np_random, road.record_history)
    for each in lanes.objects:
        each.road = lanes
    return lanes
