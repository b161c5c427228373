"""What a scenario may say: every table and key of the TOML file, with unit, default and bounds."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field

Positive = Annotated[float, Field(gt=0, allow_inf_nan=False)]
NotNegative = Annotated[float, Field(ge=0, allow_inf_nan=False)]
Limit = Annotated[float, Field(gt=0)]  # inf (TOML: inf) means "no limit"
Finite = Annotated[float, Field(allow_inf_nan=False)]
Share = Annotated[float, Field(ge=0, le=1)]
Longitude = Annotated[float, Field(ge=-180, le=180)]
Latitude = Annotated[float, Field(ge=-80, le=84)]  # where UTM is defined
AgentNumber = Annotated[int, Field(ge=0, lt=100_000)]
Point = tuple[Finite, Finite]
Ring = Annotated[tuple[Point, ...], Field(min_length=3)]
BaselineLaw = Literal["lawnmower", "smc", "hedac", "lloyd", "random"]


class Table(BaseModel):
    """A table of the scenario file: frozen, and strict about keys and types."""

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True, use_attribute_docstrings=True)


class NoFlyZoneTable(Table):
    """`[[field.no_fly_zones]]`: nothing is treated there; nobody enters if `control.limits = "optimised"`."""

    name: str = "zone"
    """Name used in messages."""
    boundary_m: Ring
    """Corners `[[x, y], ...]`, local ENU. [m]"""


class NoSprayZoneTable(Table):
    """`[[field.no_spray_zones]]`: nothing is treated there, but drones may fly over it."""

    name: str = "zone"
    """Name used in messages."""
    boundary_m: Ring
    """Corners `[[x, y], ...]`, local ENU. [m]"""


class FieldTable(Table):
    """`[field]`: the ground to cover: a rectangle or a polygon in local metres, or a polygon file."""

    width_m: Positive | None = None
    """Extent along x of a rectangle whose lower left corner is the origin. [m]"""
    height_m: Positive | None = None
    """Extent along y of that rectangle. [m]"""
    boundary_m: Ring | None = None
    """Corners `[[x, y], ...]` of a polygon, instead of width and height. [m]"""
    boundary_file: Path | None = None
    """Shapefile, GeoPackage, GeoJSON or KML file with the polygon, instead; its holes are no-fly zones."""
    boundary_part: Annotated[int, Field(ge=1)] | None = None
    """Which polygon of `boundary_file` it is, if it holds several that do not touch; 1 is the largest."""
    origin_lon_lat_deg: tuple[Longitude, Latitude] | None = None
    """Longitude and latitude (WGS 84) of the local (0, 0); default: the south-west corner of `boundary_file`, in whole
    metres of UTM, or no place on the globe. [deg]"""
    no_fly_zones: tuple[NoFlyZoneTable, ...] = ()
    """Polygons inside the field where nothing is treated and, with limits inside the optimiser, nobody flies."""
    no_spray_zones: tuple[NoSprayZoneTable, ...] = ()
    """Polygons inside the field where nothing is treated, but which may be flown over."""
    no_fly_file: Path | None = None
    """File with more no-fly zones: polygons, or lines and points with a buffer around them."""
    no_spray_file: Path | None = None
    """File with more no-spray zones."""
    no_fly_buffer_m: NotNegative = 0.0
    """Every no-fly zone of `no_fly_file` is made wider by this. [m]"""
    no_spray_buffer_m: NotNegative = 0.0
    """Every no-spray zone of `no_spray_file` is made wider by this. [m]"""


class MixtureComponent(Table):
    """`[[density.components]]`: one Gaussian patch."""

    mean_m: Point
    """Centre `[x, y]`. [m]"""
    sigma_m: Positive | tuple[Positive, Positive]
    """Standard deviation, one number or `[along, across]`. [m]"""
    angle_deg: Finite = 0.0
    """Direction of the first axis, anticlockwise from east. [deg]"""
    weight: Positive = 1.0
    """Share of the mass, relative to the other components."""


class DriftMotion(Table):
    """`[density.motion] kind = "drift"`: everything moves alike."""

    kind: Literal["drift"]
    velocity_m_s: Point
    """Velocity `[vx, vy]`. [m/s]"""


class RotationMotion(Table):
    """`[density.motion] kind = "rotation"`: everything turns about one place."""

    kind: Literal["rotation"]
    centre_m: Point
    """That place `[x, y]`. [m]"""
    rate_deg_s: Finite
    """How fast, anticlockwise. [deg/s]"""


class FieldMotion(Table):
    """`[density.motion] kind = "field"`: everything is carried by velocities on a grid, from a NumPy file."""

    kind: Literal["field"]
    file: Path
    """`.npy` file, shape (rows, columns, 2), row 0 at the south, or (times, rows, columns, 2): vx and vy in m/s at the
    centre of each cell, linear in between; relative to the scenario file."""
    cell_size_m: Positive
    """Side of a cell. [m]"""
    origin_m: Point = (0.0, 0.0)
    """Lower left corner `[x, y]` of the grid. [m]"""
    interval_s: Positive = 1.0
    """Time from one grid of velocities to the next; the last one stays. [s]"""


MotionTable = Annotated[DriftMotion | RotationMotion | FieldMotion, Field(discriminator="kind")]


class DensityKeys(Table):
    """Keys of every `[density]`."""

    motion: MotionTable | None = None
    """How the density moves over the mission, parallel order; default: it stands still."""


class UniformDensity(DensityKeys):
    """`[density] kind = "uniform"`: the whole field alike."""

    kind: Literal["uniform"]


class MixtureDensity(DensityKeys):
    """`[density] kind = "mixture"`: a sum of Gaussian patches over a constant background."""

    kind: Literal["mixture"]
    components: Annotated[tuple[MixtureComponent, ...], Field(min_length=1)]
    """The patches."""
    background: NotNegative = 0.0
    """Mass spread evenly over the field, relative to the sum of the component weights."""


class PointsDensity(DensityKeys):
    """`[density] kind = "points"`: counts at scouted places, from a CSV file."""

    kind: Literal["points"]
    file: Path
    """CSV file with a header line; relative to the scenario file."""
    x_column: str
    """Column with the coordinate towards east."""
    y_column: str
    """Column with the coordinate towards north."""
    value_column: str
    """Column with the count or severity; an empty cell is nodata, a zero is a zero."""
    coordinates: Annotated[str, Field(pattern=r"^(local-m|lon-lat|EPSG:[0-9]{4,6})$")]
    """What the coordinates are: `local-m` is metres in a local frame, x east, y north; `lon-lat` degrees of longitude
    and latitude on WGS 84; `EPSG:n`, such as `EPSG:32633`, a coordinate system by its number."""
    nodata_value: Finite | None = None
    """A number in the value column that means "not observed"."""
    interpolation: Literal["idw", "linear", "nearest", "none"] = "idw"
    """How counts become a map: inverse distance weighting, Delaunay triangles, nearest count; `none` treats the
    points themselves."""
    cell_size_m: Positive = 5.0
    """Side of a map cell. [m]"""
    reach_m: Positive | None = None
    """Cells farther than this from every count are nodata; default: twice the median spacing. [m]"""


class VectorPointsDensity(DensityKeys):
    """`[density] kind = "vector-points"`: counts at scouted places, from a file with a coordinate system."""

    kind: Literal["vector-points"]
    file: Path
    """GeoJSON, GeoPackage, Shapefile or KML file with points; relative to the scenario file."""
    value_column: str
    """Attribute with the count or severity; empty is nodata, a zero is a zero."""
    nodata_value: Finite | None = None
    """A number that means "not observed"."""
    interpolation: Literal["idw", "linear", "nearest", "none"] = "idw"
    """As for `points`."""
    cell_size_m: Positive = 5.0
    """Side of a map cell. [m]"""
    reach_m: Positive | None = None
    """Cells farther than this from every count are nodata; default: twice the median spacing. [m]"""


class GeotiffDensity(DensityKeys):
    """`[density] kind = "geotiff"`: a raster with a coordinate system (GeoTIFF, COG), turned to the local frame."""

    kind: Literal["geotiff"]
    file: Path
    """GeoTIFF file in any coordinate system; relative to the scenario file."""
    band: Annotated[int, Field(ge=1)] = 1
    """Which band holds the severity."""
    cell_size_m: Positive | None = None
    """Side of a map cell, the mean of the pixels in it; default: a pixel, or more where the map would have more than a
    million cells. [m]"""
    nodata_value: Finite | None = None
    """A number that means "not observed", besides what the file itself declares."""


class ImageDensity(DensityKeys):
    """`[density] kind = "image"`: brightness of a picture (PNG), first row to the north."""

    kind: Literal["image"]
    file: Path
    """Picture file; relative to the scenario file."""
    cell_size_m: Positive
    """Side of a pixel. [m]"""
    origin_m: Point = (0.0, 0.0)
    """Lower left corner `[x, y]` of the picture. [m]"""
    dark_is_dense: bool = False
    """True when black means most infested."""
    nodata_value: Annotated[int, Field(ge=0, le=255)] | None = None
    """Grey level that means "not observed"."""


class ArrayDensity(DensityKeys):
    """`[density] kind = "array"`: a NumPy file with one value a cell, first row to the south."""

    kind: Literal["array"]
    file: Path
    """`.npy` file, shape (rows, columns); NaN is nodata; relative to the scenario file."""
    cell_size_m: Positive
    """Side of a cell. [m]"""
    origin_m: Point = (0.0, 0.0)
    """Lower left corner `[x, y]` of the array. [m]"""
    nodata_value: Finite | None = None
    """A number that means "not observed"."""


DensityTable = Annotated[
    UniformDensity
    | MixtureDensity
    | PointsDensity
    | VectorPointsDensity
    | GeotiffDensity
    | ImageDensity
    | ArrayDensity,
    Field(discriminator="kind"),
]


class SamplingTable(Table):
    """`[sampling]`: how the density becomes weighted points."""

    n_samples: Annotated[int, Field(ge=1, le=20_000_000)] = 1000
    """Number of sample points drawn (those outside the field are removed afterwards)."""
    method: Literal["low-discrepancy", "random"] = "low-discrepancy"
    """`random` draws from the seed; `low-discrepancy` is deterministic and even."""


class AirframeKeys(Table):
    """Keys of every `[vehicle]`: what is built, for worlds that simulate more than the model."""

    preset: Annotated[str, Field(max_length=100)] = "research-quadrotor"
    """Airframe that flies where `world.kind = "bullet"`; `d2oc/airframes/presets` holds them."""
    liquid_l: NotNegative = 0.0
    """Load of the tank at the start, sprayed evenly over the operation time. [L]"""


class SingleIntegrator(AirframeKeys):
    """`model = "single-integrator"`: velocity is commanded; states x, y; inputs vx, vy."""

    model: Literal["single-integrator"]
    max_speed_m_s: Limit = float("inf")
    """Largest speed. [m/s]"""


class DoubleIntegrator(AirframeKeys):
    """`model = "double-integrator"`: acceleration is commanded; states x, vx, y, vy; inputs ax, ay."""

    model: Literal["double-integrator"]
    max_acceleration_m_s2: Limit = float("inf")
    """Largest acceleration. [m/s^2]"""
    max_speed_m_s: Limit = float("inf")
    """Largest speed. [m/s]"""


class LaggedIntegrator(AirframeKeys):
    """`model = "lagged-integrator"`: acceleration follows late; states x, vx, ax, y, vy, ay; inputs ax, ay."""

    model: Literal["lagged-integrator"]
    lag_s: Positive = 0.3
    """Time constant of the acceleration, since a vehicle must tilt first. [s]"""
    max_acceleration_m_s2: Limit = float("inf")
    """Largest acceleration. [m/s^2]"""
    max_speed_m_s: Limit = float("inf")
    """Largest speed. [m/s]"""


class Quadrotor(AirframeKeys):
    """`model = "quadrotor"`: the published 8-state linear quadrotor; inputs are roll and pitch torque."""

    model: Literal["quadrotor"]
    inertia_kg_m2: Positive = 0.0075
    """Roll and pitch inertia at the start. [kg m^2]"""
    inertia_at_end_kg_m2: Positive | None = None
    """Inertia at the end of operation, reached linearly (a tank that drains); default: constant. [kg m^2]"""
    max_torque_n_m: Limit = float("inf")
    """Largest torque per axis. [N m]"""
    max_speed_m_s: Limit = float("inf")
    """Largest |vx| and |vy|; both are scaled by one factor, as published. [m/s]"""
    max_tilt_deg: Limit = float("inf")
    """Largest roll and pitch. [deg]"""
    max_tilt_rate_deg_s: Limit = float("inf")
    """Largest roll and pitch rate. [deg/s]"""


class LoadedQuadrotor(AirframeKeys):
    """`model = "loaded-quadrotor"`: the quadrotor with mass, inertia and drag of its preset as the tank drains."""

    model: Literal["loaded-quadrotor"]
    predicts_payload: bool = True
    """False: the law believes in the full tank all the time (a time-invariant model), for comparison."""
    retrims_thrust: bool = True
    """False: thrust stays at the first weight, so lighter vehicles accelerate more for the same tilt."""
    max_torque_n_m: Limit = float("inf")
    """Largest torque per axis. [N m]"""
    max_speed_m_s: Limit = float("inf")
    """Largest |vx| and |vy|; both are scaled by one factor. [m/s]"""
    max_tilt_deg: Limit = float("inf")
    """Largest roll and pitch. [deg]"""
    max_tilt_rate_deg_s: Limit = float("inf")
    """Largest roll and pitch rate. [deg/s]"""


class FullQuadrotor(AirframeKeys):
    """`model = "full-quadrotor"`: the 12-state rigid body of its preset; inputs are thrust and three torques."""

    model: Literal["full-quadrotor"]
    predicts_payload: bool = True
    """False: the law believes in the full tank all the time, for comparison."""
    max_speed_m_s: Positive = 5.0
    """Largest horizontal speed. [m/s]"""
    max_acceleration_m_s2: Limit = float("inf")
    """Largest horizontal acceleration. [m/s^2]"""
    max_climb_m_s: Positive = 1.5
    """Largest climb and descent. [m/s]"""
    max_tilt_deg: Annotated[float, Field(gt=0, le=60)] | None = None
    """Largest tilt; default: four fifths of that of the preset's autopilot. [deg]"""
    max_tilt_rate_deg_s: Positive | None = None
    """Largest body rate about each axis; default: four fifths of that of the preset's autopilot. [deg/s]"""


class Unicycle(AirframeKeys):
    """`model = "unicycle"`: a rover that drives where it looks; states x, y, heading; inputs speed, turn rate."""

    model: Literal["unicycle"]
    max_speed_m_s: Positive = 2.0
    """Largest speed, forwards and backwards. [m/s]"""
    max_turn_rate_deg_s: Positive = 60.0
    """Largest turn rate. [deg/s]"""


VehicleTable = Annotated[
    SingleIntegrator | DoubleIntegrator | LaggedIntegrator | Quadrotor | LoadedQuadrotor | FullQuadrotor | Unicycle,
    Field(discriminator="model"),
]


class ControlTable(Table):
    """`[control]`: the finite-horizon optimal control problem every agent solves every step."""

    law: Literal["closed-form", "mission-plan", BaselineLaw] = "closed-form"
    """`closed-form`: the published unconstrained problem, solved by a Riccati recursion; `mission-plan`: a transport
    plan of the whole mission, flown within the limits and renewed on news; the others are the baselines of
    docs/baselines.md. All but the first are for the whole team and in parallel order."""
    plan_rounds: Annotated[int, Field(ge=0, le=1000)] = 6
    """Law `mission-plan`: turns between matching steps with samples and following the goals they give."""
    plan_routes: Annotated[int, Field(ge=1, le=20)] = 6
    """Law `mission-plan`: tours that plans begin from."""
    plan_divisions: Annotated[int, Field(ge=1, le=20)] = 2
    """Law `mission-plan`: ways of dividing the map among the team that are tried before take-off."""
    plan_changes: Annotated[int, Field(ge=0, le=100_000)] = 60
    """Law `mission-plan`: changes of the routes of the team that are tried before take-off, fewer where agents and
    steps are many. More of them take longer and cover better."""
    plan_early_share: Annotated[float, Field(ge=0, le=0.9)] = 0.0
    """Law `mission-plan`: share of the time for a first quick pass over the whole map; 0 plans for the end only."""
    limits: Literal["clamped", "optimised"] = "clamped"
    """`clamped`: the vehicle cuts what the law asks for, zones are not steered around; `optimised`: commands are
    optimal within the vehicle's limits, keep out of zones and inside the field, and always leave a way to stop."""
    horizon_steps: Annotated[int, Field(ge=1, le=1000)] = 15
    """Steps looked ahead."""
    state_weight: tuple[NotNegative, ...] | None = None
    """Diagonal of Q for one axis (position, velocity, tilt, tilt rate, as far as the model has them); default: the
    published values."""
    input_weight: Positive | None = None
    """R = input_weight times the identity; default: 1 for the quadrotor, the mass of one step for integrators (a
    response of about a second)."""
    scale_input_weight_with_inertia: bool = False
    """R_k = R (I_0 / I_k)^2, which keeps the loop equal in angular acceleration; I_0 = 0.0075 kg m^2."""
    terminal_cost: Literal["none", "dare"] = "none"
    """`dare` ends the horizon with the infinite-horizon cost: stable at any horizon."""
    feed_forward: bool = True
    """Density that moves: foresee how goals move; false: take every goal to stay where it is when it is chosen."""
    cruise_speed_m_s: Positive | None = None
    """Speed of the baselines; default: the vehicle's `max_speed_m_s`, which is never exceeded. [m/s]"""
    modes: Annotated[int, Field(ge=2, le=200)] = 30
    """Cosine modes per axis of `smc`."""
    grid_cells: Annotated[int, Field(ge=8, le=1024)] = 128
    """Cells of `hedac` along the longer side of the field."""
    heat_length_m: Positive | None = None
    """Length over which heat spreads in `hedac`; default: 60/1024 of the longer side of the field. [m]"""
    footprint_m: Positive | None = None
    """Standard deviation of what an agent covers in `hedac`; default: a cell, half the spacing of the samples or 0.3
    times the way flown while a velocity is taken up, whichever is largest. [m]"""


class GroupTable(Table):
    """`[[team.groups]]`: agents that differ from the rest of the team; what is left out is the team's."""

    n_agents: Annotated[int, Field(ge=1, le=100_000)]
    """Agents in this group."""
    duration_s: Positive | None = None
    """Operation time of these agents. [s]"""
    capacity: Positive = 1.0
    """Treatment mass per step, relative to the other groups (a larger pump, a wider swath)."""
    vehicle: VehicleTable | None = None
    """Vehicle of this group."""
    control: ControlTable | None = None
    """Control of this group."""


class TeamTable(Table):
    """`[team]`: who flies and from where."""

    n_agents: Annotated[int, Field(ge=1, le=100_000)] | None = None
    """Agents in the team; leave out when groups are listed."""
    start: Literal["random", "line"] = "random"
    """`random`: anywhere in the field, from the seed; `line`: side by side along the field's south edge."""
    start_m: tuple[Point, ...] | None = None
    """Start places `[[x, y], ...]`, one an agent, instead of `start`. [m]"""
    separation_m: NotNegative = 0.0
    """Distance that agents keep from each other (`control.limits = "optimised"` only); 0: they keep none. [m]"""
    keep_connected: bool = False
    """No agent leaves the radio network of the team (`control.limits = "optimised"` and runtime `arrays` only)."""
    groups: tuple[GroupTable, ...] = ()
    """Unequal agents."""

    @property
    def size(self) -> int:
        """Number of agents; 0 where nothing says so."""
        return sum(group.n_agents for group in self.groups) or self.n_agents or 0


class MissionTable(Table):
    """`[mission]`: how long, how finely, and in which order agents act."""

    duration_s: Positive
    """Operation time of every agent. [s]"""
    time_step_s: Positive = 0.1
    """Control period T. [s]"""
    order: Literal["parallel", "sequential"] = "parallel"
    """`parallel`: all act on the last step's messages; `sequential`: one after the other, as published."""
    give_way: bool = True
    """In parallel order, leave to lower-numbered neighbours what they are about to treat (ledger rule `sum` only)."""


class AssignmentTable(Table):
    """`[assignment]`: whether the map is divided among the agents (parallel order, law `closed-form`)."""

    method: Literal["none", "semi-discrete"] = "none"
    """`semi-discrete`: each agent treats its own cell, found by optimal transport from capacities and positions; the
    law `mission-plan` always divides the map so."""
    refresh_interval_s: Positive = 5.0
    """Cells are computed anew this often, and whenever an agent is lost or back. [s]"""


class TransitTable(Table):
    """`[transit]`: take-off, ways out and home, landing; without it a mission begins and ends in the air."""

    home_m: Annotated[tuple[Point, ...], Field(min_length=1)] | None = None
    """Where each agent takes off and lands; default: below its start. [m]"""
    speed_m_s: Positive = 5.0
    """Out and home, and never above the vehicle's own limit. [m/s]"""
    climb_m_s: Annotated[float, Field(gt=0, le=1.5)] = 1.5
    """Upwards. [m/s]"""
    descent_m_s: Annotated[float, Field(gt=0, le=1.5)] = 1.0
    """Downwards. [m/s]"""


class JammingTable(Table):
    """`[[radio.jamming]]`: a circle in which nobody hears anything for a while."""

    centre_m: Point
    """Centre `[x, y]`. [m]"""
    radius_m: Positive
    """Radius. [m]"""
    from_s: NotNegative = 0.0
    """When it begins. [s]"""
    until_s: Limit = float("inf")
    """When it ends. [s]"""


class OutageTable(Table):
    """`[[radio.outages]]`: radios that neither send nor hear for a while."""

    agents: Annotated[tuple[AgentNumber, ...], Field(min_length=1)]
    """Numbers of the agents, counted from 0."""
    from_s: NotNegative = 0.0
    """When it begins. [s]"""
    until_s: Limit = float("inf")
    """When it ends. [s]"""


class PartitionTable(Table):
    """`[[radio.partitions]]`: a time in which only agents of the same group hear each other."""

    groups: Annotated[tuple[tuple[AgentNumber, ...], ...], Field(min_length=1)]
    """Numbers of the agents of each group `[[0, 1], [2, 3]]`; all others form one more group."""
    from_s: NotNegative = 0.0
    """When it begins. [s]"""
    until_s: Limit = float("inf")
    """When it ends. [s]"""


class RadioTable(Table):
    """`[radio]`: who hears whom; anything but the range needs a runtime in which agents exchange messages."""

    comm_range_m: Annotated[float, Field(ge=0)] = 25.0
    """Agents closer than this exchange what they know; inf reaches everyone, 0 nobody. [m]"""
    loss: Share = 0.0
    """Share of messages lost between agents side by side."""
    loss_at_range: Share = 0.0
    """Share lost at the edge of the range, when that is more; in between it grows with the square of the distance."""
    delay_s: NotNegative = 0.0
    """How long a message takes beyond the one step it always takes. [s]"""
    jitter_s: NotNegative = 0.0
    """Up to this much longer, evenly distributed. [s]"""
    bandwidth_bytes_per_s: Limit = float("inf")
    """What each agent can send; messages beyond are lost. [byte/s]"""
    message_limit_bytes: Annotated[int, Field(ge=256, le=60_000)] = 1400
    """What a message does not exceed, unless one step's consumption alone is larger. [byte]"""
    jamming: tuple[JammingTable, ...] = ()
    """Jamming zones."""
    outages: tuple[OutageTable, ...] = ()
    """Radios that fail for a while."""
    partitions: tuple[PartitionTable, ...] = ()
    """Times in which the team is split."""


class FaultTable(Table):
    """`[[faults]]`: what fails in flight, for good."""

    what: Literal["crash", "radio", "gps"]
    """`crash`: it flies no more; `radio`: it neither sends nor hears; `gps`: it knows no place, and gives up."""
    agents: Annotated[tuple[AgentNumber, ...], Field(min_length=1)]
    """Numbers of the agents, counted from 0."""
    at_s: NotNegative
    """When. [s]"""


class LedgerTable(Table):
    """`[ledger]`: how the team's knowledge of consumed weight is merged."""

    rule: Literal["sum", "minimum"] = "sum"
    """`sum` adds up what each agent consumed; `minimum` keeps the smaller remaining weight (undercounts)."""


class WindTable(Table):
    """`[world.wind]`: the same mean wind everywhere, and gusts around it."""

    speed_m_s: NotNegative = 0.0
    """Mean wind. [m/s]"""
    toward_deg: Finite = 0.0
    """Where it blows to, anticlockwise from east. [deg]"""
    gusts: bool = True
    """Dryden gusts of MIL-F-8785C at low altitude, in proportion to the mean wind."""


class SensorTable(Table):
    """`[world.sensors]`: how well a drone knows where it is."""

    position_sigma_m: NotNegative = 0.0
    """Standard deviation of the satellite position per axis, drifting over half a minute. [m]"""
    velocity_sigma_m_s: NotNegative = 0.0
    """Standard deviation of the velocity per axis, drifting over a second. [m/s]"""


class HillTable(Table):
    """`[[world.terrain.hills]]`: a hill of Gaussian shape, or a hollow."""

    top_m: Point
    """Where its top is, local metres. [m]"""
    height_m: Finite
    """Of the top over the slope; negative: a hollow. [m]"""
    sigma_m: Positive
    """Distance from the top where 61 % of the height is left. [m]"""


class TerrainTable(Table):
    """`[world.terrain]`: ground that is not level; drones keep their height above it."""

    slope_percent: Annotated[float, Field(ge=0, le=100)] = 0.0
    """Rise over distance; the height is 0 at the origin of the field. [%]"""
    uphill_deg: Finite = 0.0
    """Where it rises to, anticlockwise from east. [deg]"""
    hills: tuple[HillTable, ...] = ()
    """Hills on the slope."""
    cell_m: Positive = 2.0
    """Distance of two heights of the ground; in between it is bilinear. [m]"""


class WorldTable(Table):
    """`[world]`: what moves the drones."""

    kind: Literal["ideal", "bullet"] = "ideal"
    """`ideal`: exactly as the model says; `bullet`: rigid bodies with rotors, autopilots and wind, in PyBullet."""
    height_m: Positive = 3.0
    """Height that is held above ground. [m]"""
    height_step_m: NotNegative | None = None
    """Every drone flies this much higher than the one before it, since laws without separation would let them touch;
    default: the height of its tilted body and half a metre. 0 flies all at one height. [m]"""
    wind: WindTable = WindTable()
    """Wind, where the world is `bullet`."""
    sensors: SensorTable = SensorTable()
    """Sensors, where the world is `bullet`."""
    ground_effect: bool = False
    """Rotors lift more near the ground, where the world is `bullet`."""
    downwash: bool = False
    """Drones feel the air that those above them blow down, where the world is `bullet`."""
    terrain: TerrainTable | None = None
    """Ground that is not level, where the world is `bullet`."""


class DoseTable(Table):
    """`[dose]`: how much a severity needs."""

    kind: Literal["threshold", "steps", "response"] = "threshold"
    """`threshold`: one rate where the severity is above the threshold; `steps`: a rate for each severity; `response`:
    the dose response inverted, so that no more than `tolerated` is left."""
    threshold: NotNegative = 0.0
    """Severity up to which nothing is treated, in the unit of the map (of counts: counts in its cells); of a mixture
    the share of its peak."""
    rate_l_ha: Positive = 15.0
    """Rate of `threshold`; of every kind the rate of uniform spraying, unless the map needs more. [L/ha]"""
    steps: tuple[tuple[NotNegative, NotNegative], ...] = ()
    """Pairs of severity and rate: from this severity on, this rate in L/ha (`steps`)."""
    ed50_l_ha: Positive | None = None
    """Dose that half of the plants or insects survive, of the log-logistic curve; default: survivors are unknown.
    [L/ha]"""
    slope: Positive = 3.0
    """Slope b of that curve."""
    untreated_survival: Share = 1.0
    """Survival without dose, d."""
    least_survival: Share = 0.0
    """Survival at any dose, c."""
    tolerated: Positive | None = None
    """Severity that may be left (`response`)."""
    minimum_l_ha: NotNegative = 0.0
    """Smallest rate on the label; less is raised to it. [L/ha]"""
    maximum_l_ha: Positive = 30.0
    """Largest rate on the label: no place may get more, all passes together. [L/ha]"""
    effective_share: Share = 0.8
    """A place with less than this share of its target dose counts as missed."""
    dilation_m: NotNegative = 0.0
    """Patches are made wider by this, for errors of position and pump. [m]"""
    minimum_patch_m2: NotNegative = 0.0
    """Smaller patches are left out. [m2]"""


class SprayTable(Table):
    """`[spray]`: what sprays, and how; a scenario with this table is a spraying mission (docs/farm.md)."""

    method: Literal["d2oc", "prescription", "prescription-skip", "uniform", "smc", "hedac"] = "d2oc"
    """Who decides where to fly and spray; all but the first are what `d2oc compare` compares with."""
    speed_m_s: Positive = 6.0
    """Working speed on a pass; between passes the vehicle's own limit holds. [m/s]"""
    swath_m: Positive = 7.0
    """Distance of passes that gives an even deposit (CV 6 %), at the height and speed of the next two keys. [m]"""
    swath_height_m: Positive = 2.5
    """Height at which the swath was measured. [m]"""
    swath_speed_m_s: Positive = 6.0
    """Speed at which the swath was measured. [m/s]"""
    along_sigma_m: Positive = 0.5
    """Standard deviation of the deposit along the way. [m]"""
    least_flow_l_min: NotNegative = 0.6
    """Smaller flows are not possible: the nozzles are shut. [L/min]"""
    largest_flow_l_min: Positive = 14.0
    """What the pumps give at the most. [L/min]"""
    pump_lag_s: NotNegative = 0.3
    """Time constant of the pumps. [s]"""
    drift_s: NotNegative = 0.45
    """Droplets are carried by the wind for so long. [s]"""
    unseen_gust_share: Share = 0.3
    """Share of a gust that a drone does not see by how it has to lean; the rest it flies against."""
    evaporated_share: Annotated[float, Field(ge=0, lt=1)] = 0.02
    """Share of the liquid that never arrives."""
    cell_m: Annotated[float, Field(ge=0.2, le=20)] = 1.0
    """Side of a raster cell. [m]"""
    climb_m_s: Positive = 1.5
    """Speed of take-off and landing. [m/s]"""
    reserve_share: Annotated[float, Field(ge=0, lt=1)] = 0.15
    """Share of the battery that is never planned with."""
    budget_l: Limit = float("inf")
    """Liquid that is there for the whole mission. [L]"""


class StationTable(Table):
    """`[[stations]]`: where tanks are filled and batteries changed."""

    name: str = "station"
    """Name used in messages."""
    place_m: Point
    """Place `[x, y]`, in the field or beside it. [m]"""
    slots: Annotated[int, Field(ge=1, le=100)] = 1
    """Drones served at once; the others wait on the ground."""
    fill_l_min: Positive = 40.0
    """Pump that fills tanks. [L/min]"""
    swap_s: NotNegative = 60.0
    """Time to change a battery, while the tank is filled. [s]"""
    handling_s: NotNegative = 20.0
    """Time for everything else. [s]"""


class RulesTable(Table):
    """`[rules]`: what is allowed, checked before take-off."""

    profile: str = "default"
    """Name of a profile that comes with the program, or path of a TOML file."""
    pilots: Annotated[int, Field(ge=1, le=1000)] = 1
    """Pilots that watch."""


def json_schema() -> dict[str, Any]:
    """JSON schema of a scenario file; editors complete and check from it."""
    schema = Scenario.model_json_schema()
    return {"$schema": "https://json-schema.org/draft/2020-12/schema", **_without_infinity(schema)}


def _without_infinity(schema: Any) -> Any:
    """JSON has no infinity: a default of "no limit" is left to the description."""
    if isinstance(schema, dict):
        return {key: _without_infinity(value) for key, value in schema.items() if value != float("inf")}
    if isinstance(schema, list):
        return [_without_infinity(value) for value in schema]
    return schema


class Scenario(Table):
    """A mission: field, reference density, team, vehicle, control, radio and duration."""

    name: Annotated[str, Field(min_length=1, max_length=100)]
    """Short name, used for the run folder."""
    description: str = ""
    """One sentence for people."""
    seed: Annotated[int, Field(ge=0, lt=2**63)] = 1
    """Seed of everything random."""
    field: FieldTable | None = None
    """The ground; default: what the density's own data cover."""
    density: DensityTable
    """The reference density."""
    sampling: SamplingTable = SamplingTable()
    """Sampling of the density."""
    team: TeamTable
    """The team."""
    vehicle: VehicleTable
    """The vehicle of everyone whose group names no other."""
    control: ControlTable = ControlTable()
    """The control law."""
    mission: MissionTable
    """Duration and order."""
    transit: TransitTable | None = None
    """Take-off and landing around the mission."""
    assignment: AssignmentTable = AssignmentTable()
    """How the map is divided."""
    radio: RadioTable = RadioTable()
    """The radio."""
    faults: tuple[FaultTable, ...] = ()
    """What fails in flight."""
    ledger: LedgerTable = LedgerTable()
    """The merge rule."""
    world: WorldTable = WorldTable()
    """What moves the drones."""
    dose: DoseTable | None = None
    """How much a severity needs; default: with `spray` its defaults."""
    spray: SprayTable | None = None
    """Makes it a spraying mission."""
    stations: tuple[StationTable, ...] = ()
    """Stations of a spraying mission."""
    rules: RulesTable | None = None
    """Rules of a spraying mission; default: the profile `default`, one pilot."""
