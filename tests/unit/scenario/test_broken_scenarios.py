"""Every mistake in a scenario ends in one sentence that names file, key, value and what is allowed."""

from __future__ import annotations

import copy
import math
import tomllib

import pytest

from d2oc.errors import D2ocError, DensityError, ScenarioError, UnstableLoopError
from d2oc.mission import simulate
from d2oc.scenario import load_scenario, shipped_scenarios
from d2oc.scenario.load import LARGEST_FILE, validate

VALID = """\
name = "plot"
seed = 1

[field]
width_m = 100.0
height_m = 80.0

[density]
kind = "mixture"

[[density.components]]
mean_m = [30.0, 40.0]
sigma_m = 12.0
weight = 2.0

[sampling]
n_samples = 200

[team]
n_agents = 3

[vehicle]
model = "double-integrator"
max_speed_m_s = 8.0

[control]
horizon_steps = 15
terminal_cost = "dare"

[mission]
duration_s = 30.0
time_step_s = 0.2

[radio]
comm_range_m = 50.0
"""

RECTANGLE = "width_m = 100.0\nheight_m = 80.0\n"
COMPONENT = "\n[[density.components]]\nmean_m = [30.0, 40.0]\nsigma_m = 12.0\nweight = 2.0\n"
MIXTURE = 'kind = "mixture"\n' + COMPONENT
KINDS = "one of uniform, mixture, points, vector-points, geotiff, image, array"
MODELS = (
    "one of single-integrator, double-integrator, lagged-integrator, quadrotor, loaded-quadrotor, "
    "full-quadrotor, unicycle"
)


def zone(corners):
    return RECTANGLE + f'[[field.no_fly_zones]]\nname = "pond"\nboundary_m = {corners}\n'


BROKEN = [
    # unknown keys and tables
    ("comm_range_m", "comm_rnge_m", "radio.comm_rnge_m is not a known key; did you mean comm_range_m?"),
    ("[radio]", "[raido]", "raido is not a known key; did you mean radio?"),
    (
        "[radio]",
        "[weather]",
        "weather is not a known key; known are name, description, seed, field, density, sampling, team, vehicle, "
        "control, mission, transit, assignment, radio, faults, ledger, world, dose, spray, stations, rules",
    ),
    ('name = "plot"', 'nmae = "plot"', "nmae is not a known key; did you mean name?"),
    ("weight = 2.0", "wieght = 2.0", "density.components[0].wieght is not a known key; did you mean weight?"),
    (
        "n_agents",
        "drones",
        "team.drones is not a known key; [team] has n_agents, start, start_m, separation_m, keep_connected, groups",
    ),
    (
        "time_step_s",
        "n_samples = 9\ntime_step_s",
        "mission.n_samples is not a known key; did you mean sampling.n_samples?",
    ),
    (
        "max_speed_m_s = 8.0",
        "max_tilt_deg = 30",
        'vehicle.max_tilt_deg is no key of model = "double-integrator"; it belongs to model = "quadrotor"',
    ),
    (
        MIXTURE,
        'kind = "uniform"\n' + COMPONENT,
        'density.components is no key of kind = "uniform"; it belongs to kind = "mixture"',
    ),
    # units in names
    ("comm_range_m", "comm_range_km", "radio.comm_range_km is not a known key; the unit is m: use comm_range_m"),
    ("comm_range_m", "comm_range", "radio.comm_range is not a known key; did you mean comm_range_m?"),
    ("width_m", "width_ft", "field.width_ft is not a known key; the unit is m: use width_m"),
    (
        "max_speed_m_s",
        "max_speed_km_h",
        "vehicle.max_speed_km_h is not a known key; the unit is m/s: use max_speed_m_s",
    ),
    ("duration_s = 30", "duration_min = 3", "mission.duration_min is not a known key; the unit is s: use duration_s"),
    ("time_step_s", "time_step_ms", "mission.time_step_ms is not a known key; the unit is s: use time_step_s"),
    (
        "weight = 2.0",
        "angle_rad = 0.3",
        "density.components[0].angle_rad is not a known key; the unit is deg: use angle_deg",
    ),
    ("horizon_steps", "horizon_s", "control.horizon_s is not a known key; the unit is steps: use horizon_steps"),
    ("sigma_m", "sigma_cm", "density.components[0].sigma_cm is not a known key; the unit is m: use sigma_m"),
    # missing
    ('name = "plot"\n', "", "name is missing: short name, used for the run folder"),
    ("[density]\n" + MIXTURE, "", "density is missing: add the table [density]"),
    (COMPONENT, "", "density.components is missing: add the table [[density.components]]"),
    ("duration_s = 30.0\n", "", "mission.duration_s is missing: operation time of every agent [s]"),
    ("n_agents = 3\n", "", "team.n_agents is missing: how many agents fly, at least 1; or list team.groups"),
    ('model = "double-integrator"\n', "", f"vehicle.model is missing: {MODELS}"),
    ('kind = "mixture"\n', "", f"density.kind is missing: {KINDS}"),
    (
        "width_m = 100.0\n",
        "",
        "field.width_m is missing: a field needs width_m and height_m, or boundary_m [m], or boundary_file",
    ),
    (
        "[field]\n" + RECTANGLE,
        "",
        'field is missing: density.kind = "mixture" covers no ground of its own; '
        "give field.width_m and field.height_m, or field.boundary_m",
    ),
    ("mean_m = [30.0, 40.0]\n", "", "density.components[0].mean_m is missing: centre `[x, y]` [m]"),
    # unknown kinds
    ('"mixture"', '"mixtur"', f'density.kind = "mixtur" must be {KINDS}; did you mean mixture?'),
    ('"mixture"', "3", f"density.kind = 3 must be {KINDS}"),
    ('"double-integrator"', '"helicopter"', f'vehicle.model = "helicopter" must be {MODELS}'),
    ('"dare"', '"dares"', 'control.terminal_cost = "dares" must be one of none, dare; did you mean dare?'),
    ("[radio]", '[ledger]\nrule = "max"\n[radio]', 'ledger.rule = "max" must be one of sum, minimum'),
    ("n_agents = 3", 'n_agents = 3\nstart = "ring"', 'team.start = "ring" must be one of random, line'),
    # wrong types
    ("comm_range_m = 50.0", 'comm_range_m = "50"', 'radio.comm_range_m = "50" must be a number in m, without quotes'),
    ("comm_range_m = 50.0", 'comm_range_m = "far"', 'radio.comm_range_m = "far" must be a number in m'),
    ("comm_range_m = 50.0", "comm_range_m = true", "radio.comm_range_m = true must be a number in m"),
    ('name = "plot"', "name = 3", "name = 3 must be text in quotes"),
    ('name = "plot"', 'name = ""', 'name = "" must be text of at least one character'),
    ("seed = 1", "seed = 1.5", "seed = 1.5 must be a whole number"),
    ("seed = 1", 'seed = "7"', 'seed = "7" must be a whole number, without quotes'),
    ("seed = 1", "seed = 2026-01-31", 'seed = "2026-01-31" must be a whole number'),
    ("n_samples = 200", "n_samples = 1e3", "sampling.n_samples = 1000.0 must be a whole number: write 1000"),
    ("time_step_s", "give_way = 1\ntime_step_s", "mission.give_way = 1 must be true or false"),
    (
        "[radio]",
        "[[radio]]",
        'radio = [{"comm_range_m": 50.0}] must be one table: write [radio] once, with single brackets',
    ),
    ("[30.0, 40.0]", "30.0", "density.components[0].mean_m = 30.0 must be an array [m]"),
    ("[30.0, 40.0]", "[30.0]", "density.components[0].mean_m = [30.0] must be an array of 2 numbers [m]"),
    (
        "sigma_m = 12.0",
        "sigma_m = [12.0]",
        "density.components[0].sigma_m = [12.0] must be a positive number or a pair of them [m]",
    ),
    (COMPONENT, "components = []\n", "density.components = [] must be an array of at least 1 entry"),
    # impossible values
    ("comm_range_m = 50.0", "comm_range_m = -5", "radio.comm_range_m = -5 must be at least 0 [m]"),
    ("comm_range_m = 50.0", "comm_range_m = nan", "radio.comm_range_m = nan must be at least 0 [m]"),
    ("width_m = 100.0", "width_m = 0", "field.width_m = 0 must be positive [m]"),
    ("width_m = 100.0", "width_m = inf", "field.width_m = inf must be a finite number [m]"),
    ("sigma_m = 12.0", "sigma_m = nan", "density.components[0].sigma_m = nan must be a finite number [m]"),
    ("sigma_m = 12.0", "sigma_m = [12.0, -1.0]", "density.components[0].sigma_m[1] = -1.0 must be positive [m]"),
    ("max_speed_m_s = 8.0", "max_speed_m_s = 0", "vehicle.max_speed_m_s = 0 must be positive [m/s]"),
    ("duration_s = 30.0", "duration_s = -1", "mission.duration_s = -1 must be positive [s]"),
    ("seed = 1", "seed = -1", "seed = -1 must be at least 0"),
    ("seed = 1", f"seed = {2**63}", f"seed = {2**63} must be below 9,223,372,036,854,775,808"),
    ("n_agents = 3", "n_agents = 0", "team.n_agents = 0 must be at least 1"),
    ("horizon_steps = 15", "horizon_steps = 5000", "control.horizon_steps = 5000 must be at most 1,000 [steps]"),
    (
        "horizon_steps = 15",
        "state_weight = [0.0]",
        'control.state_weight has 1 entries, but vehicle.model = "double-integrator" has 2 per axis',
    ),
    (
        "duration_s = 30.0",
        "duration_s = 0.1",
        "mission.duration_s = 0.1 s must be at least one mission.time_step_s = 0.2 s",
    ),
    # absurd sizes
    ("n_samples = 200", "n_samples = 1000000000000", "sampling.n_samples = 1000000000000 must be at most 20,000,000"),
    ("n_agents = 3", "n_agents = 1000000", "team.n_agents = 1000000 must be at most 100,000"),
    (
        "duration_s = 30.0",
        "duration_s = 1e12",
        "mission.duration_s = 1e+12 s makes 5,000,000,000,000 steps of mission.time_step_s = 0.2 s; "
        "at most 1,000,000 are flown",
    ),
    (
        "time_step_s = 0.2",
        "time_step_s = 1e-300",
        "mission.duration_s = 30 s makes 3e+301 steps of mission.time_step_s = 1e-300 s; at most 1,000,000 are flown",
    ),
    # the ground
    (
        RECTANGLE,
        "boundary_m = [[0, 0], [9, 0]]\n",
        "field.boundary_m = [[0, 0], [9, 0]] must be an array of at least 3 corners [m]",
    ),
    (RECTANGLE, "boundary_m = [[0, 0], [9, 0], [9]]\n", "field.boundary_m[2] = [9] must be an array of 2 numbers [m]"),
    (
        RECTANGLE,
        "boundary_m = [[0, 0], [9, 0], [9, nan]]\n",
        "field.boundary_m[2][1] = nan must be a finite number [m]",
    ),
    (
        RECTANGLE,
        "boundary_m = [[0, 0], [9, 8], [9, 0], [0, 8]]\n",
        "field.boundary_m crosses itself: edge 1 from (0, 0) m to (9, 8) m meets edge 3 from (9, 0) m to (0, 8) m",
    ),
    (
        RECTANGLE,
        "boundary_m = [[0, 0], [5, 0], [9, 0]]\n",
        "field.boundary_m has no area: all its 3 corners lie on one line",
    ),
    (
        RECTANGLE,
        RECTANGLE + "boundary_m = [[0, 0], [9, 0], [9, 9]]\n",
        "field.boundary_m stands beside width_m or height_m: give either the polygon or the rectangle",
    ),
    (
        RECTANGLE,
        zone("[[200, 200], [300, 200], [300, 300]]"),
        "field.no_fly_zones[0].boundary_m ('pond') is all outside the field (x 0 to 100 m, y 0 to 80 m), so it "
        "forbids nothing; check its coordinates or leave it out",
    ),
    (
        RECTANGLE,
        zone("[[-1, -1], [101, -1], [101, 81], [-1, 81]]"),
        "field.no_fly_zones cover the whole field, so nothing is left to treat",
    ),
    (
        RECTANGLE,
        zone("[[10, 10], [20, 20], [20, 10], [10, 20]]"),
        "field.no_fly_zones[0].boundary_m ('pond') crosses itself: edge 1 from (10, 10) m to (20, 20) m meets edge 3 "
        "from (20, 10) m to (10, 20) m",
    ),
    # the team
    (
        "n_agents = 3",
        "n_agents = 3\nstart_m = [[1, 1], [2, 2]]",
        "team.start_m has 2 places, but the team has 3 agents",
    ),
    (
        "n_agents = 3",
        "n_agents = 1\nstart_m = [[-3, 4]]",
        "team.start_m[0] = [-3, 4] must be inside the field and outside its no-fly zones [m], but is outside the field",
    ),
    (
        "n_agents = 3",
        "n_agents = 3\n[[team.groups]]\nn_agents = 2",
        "team.n_agents = 3 stands beside team.groups: give one of them",
    ),
    ("n_agents = 3", "[[team.groups]]\nduration_s = 9", "team.groups[0].n_agents is missing: agents in this group"),
    (
        "n_agents = 3",
        '[[team.groups]]\nn_agents = 2\nvehicle = {model = "car"}',
        f'team.groups[0].vehicle.model = "car" must be {MODELS}',
    ),
    (
        "n_agents = 3",
        '[[team.groups]]\nn_agents = 2\nvehicle = {model = "single-integrator"}\ncontrol = {state_weight = [0, 1]}',
        'team.groups[0].control.state_weight has 2 entries, but vehicle.model = "single-integrator" has 1 per axis',
    ),
    (
        "n_agents = 3",
        "[[team.groups]]\nn_agents = 2\nduration_s = 0.01",
        "team.groups[0].duration_s = 0.01 s must be at least one mission.time_step_s = 0.2 s",
    ),
    # the law
    (
        "n_agents = 3",
        '[[team.groups]]\nn_agents = 2\ncontrol = {law = "mission-plan"}',
        'team.groups[0].control.law = "mission-plan" must be that of the team, control.law = "closed-form": '
        "a team flies one law",
    ),
    # the data
    (
        MIXTURE,
        'kind = "array"\nfile = "none.npy"\ncell_size_m = 1.0\n',
        'density.file = "{folder}/none.npy" is not there; a relative path starts at the folder of the scenario file',
    ),
    (
        MIXTURE,
        'kind = "image"\nfile = "."\ncell_size_m = 1.0\n',
        'density.file = "{folder}" is a folder, not a file; a relative path starts at the folder of the scenario file',
    ),
    # not TOML
    ("seed = 1", "seed = = 1", "is not valid TOML: Invalid value (at line 2, column 8): seed = = 1"),
    ("seed = 1", "seed = 1\nseed = 2", "is not valid TOML: Cannot overwrite a value (at line 3, column 9): seed = 2"),
    (
        "seed = 1",
        f"seed = {'[' * 5000}",
        "is not valid TOML: nested too deeply, or a number with too many digits",
    ),
]


@pytest.mark.parametrize(("old", "new", "sentence"), BROKEN, ids=[sentence[:50] for _, _, sentence in BROKEN])
def test_a_mistake_ends_in_its_sentence(tmp_path, old, new, sentence):
    path = tmp_path / "plot.toml"
    assert old in VALID
    path.write_text(VALID.replace(old, new, 1))
    with pytest.raises(ScenarioError) as error:
        load_scenario(path)
    assert str(error.value) == f"{path}: {sentence.replace('{folder}', str(tmp_path))}"


def test_a_plan_of_the_whole_mission_is_flown_in_parallel_only(tmp_path):
    path = tmp_path / "plot.toml"
    text = VALID.replace("horizon_steps", 'law = "mission-plan"\nhorizon_steps')
    path.write_text(text.replace("time_step_s", 'order = "sequential"\ntime_step_s'))
    with pytest.raises(ScenarioError) as error:
        load_scenario(path)
    assert str(error.value) == (
        f'{path}: mission.order = "sequential" goes with control.law = "closed-form" only; use "parallel"'
    )


def test_the_unbroken_scenario_loads(tmp_path):
    (tmp_path / "plot.toml").write_text(VALID)
    assert load_scenario(tmp_path / "plot.toml").team.n_agents == 3


def test_every_mistake_is_listed(tmp_path):
    path = tmp_path / "plot.toml"
    path.write_text(VALID.replace("seed = 1", "seed = -1").replace("sigma_m = 12.0", "sigma_m = 0"))
    with pytest.raises(ScenarioError) as error:
        load_scenario(path)
    assert str(error.value).splitlines() == [
        f"{path}: 2 mistakes",
        f"{path}: seed = -1 must be at least 0",
        f"{path}: density.components[0].sigma_m = 0 must be positive [m]",
    ]


def test_a_start_in_a_zone_names_the_zone(tmp_path):
    path = tmp_path / "plot.toml"
    text = VALID.replace(RECTANGLE, zone("[[10, 10], [20, 10], [20, 20]]"))
    path.write_text(text.replace("n_agents = 3", "n_agents = 1\nstart_m = [[18, 12]]"))
    with pytest.raises(ScenarioError, match=r"team.start_m\[0\] = \[18, 12\] .* but is in the zone 'pond'$"):
        load_scenario(path)


def test_what_memory_cannot_hold_is_refused_before_it_is_allocated(tmp_path, monkeypatch):
    monkeypatch.setattr("d2oc.scenario.checks.machine_memory", lambda: 16 * 10**9)
    path = tmp_path / "plot.toml"
    path.write_text(
        VALID.replace("n_samples = 200", "n_samples = 1000000").replace("n_agents = 3", "n_agents = 100000")
    )
    with pytest.raises(ScenarioError) as error:
        load_scenario(path)
    assert str(error.value) == (
        f"{path}: sampling.n_samples = 1,000,000, 100,000 agents and 150 steps need about 942 GB of memory, "
        "this machine has 16 GB; take fewer of them"
    )


@pytest.mark.parametrize(
    ("content", "sentence"),
    [
        (b"", "is empty; `d2oc scenarios show six_drones` prints one to start from"),
        (b"# nothing\n", "is empty; `d2oc scenarios show six_drones` prints one to start from"),
        (b"\x89PNG\r\n\x1a\n", "byte 0x89 at position 0 is not UTF-8 text; a scenario is a TOML file in UTF-8"),
        (VALID.encode("utf-16"), "byte 0xff at position 0 is not UTF-8 text; a scenario is a TOML file in UTF-8"),
        (b'name = "Gr\xfcn"\n', "byte 0xfc at position 10 is not UTF-8 text; a scenario is a TOML file in UTF-8"),
        (
            b"#" * (LARGEST_FILE + 1),
            "has 1,000,001 bytes, a scenario has at most 1,000,000; put large data in a file that density.file names",
        ),
    ],
    ids=["empty", "only a comment", "picture", "UTF-16", "Latin-1", "huge"],
)
def test_a_file_that_is_no_scenario(tmp_path, content, sentence):
    path = tmp_path / "plot.toml"
    path.write_bytes(content)
    with pytest.raises(ScenarioError) as error:
        load_scenario(path)
    assert str(error.value) == f"{path}: {sentence}"


def test_a_file_with_byte_order_mark_and_windows_lines_loads(tmp_path):
    path = tmp_path / "plot.toml"
    path.write_bytes(b"\xef\xbb\xbf" + VALID.replace("\n", "\r\n").encode())
    assert load_scenario(path).name == "plot"


def test_a_file_that_may_not_be_read(tmp_path, monkeypatch):
    path = tmp_path / "plot.toml"
    path.write_text(VALID)

    def refuse(*_, **__):
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr("pathlib.Path.read_text", refuse)
    with pytest.raises(ScenarioError) as error:
        load_scenario(path)
    assert str(error.value) == f"{path}: cannot be read (Permission denied)"


def test_names_that_are_no_scenario(tmp_path):
    for name, sentence in {
        "six_dornes": "six_dornes: no scenario of this name; did you mean six_drones?",
        "zzz": "zzz: no scenario of this name; known are "
        + ", ".join(info.name for info in shipped_scenarios())
        + "; a file of your own ends in .toml",
        "none.toml": "none.toml: no such file; `d2oc scenarios` lists those that come with the program",
        str(tmp_path): f"{tmp_path}: is a folder, not a scenario file",
        "x" * 300: f"{'x' * 60}: cannot be a file (File name too long)",
    }.items():
        with pytest.raises(ScenarioError) as error:
            load_scenario(name)
        assert str(error.value) == sentence


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        ("duration_s", "--set duration_s: give key=value, such as control.horizon_steps=20"),
        ("=3", "--set =3: give key=value, such as control.horizon_steps=20"),
        ("mission.duration_s=", '{path}: --set mission.duration_s = "" must be a number in s'),
        ("mission.duration_s=long", '{path}: --set mission.duration_s = "long" must be a number in s'),
        ("mission.duration_s=-1", "{path}: --set mission.duration_s = -1 must be positive [s]"),
        ("mission.duration=9", "{path}: --set mission.duration is not a known key; did you mean duration_s?"),
        ("team.n_agents.x=3", "--set team.n_agents.x: n_agents is a single value and has no keys of its own"),
        ("density.components.7.weight=1", "--set density.components.7.weight: 7 must be a number from 0 to 0"),
        (
            "density.components.first.weight=1",
            "--set density.components.first.weight: first must be a number from 0 to 0",
        ),
        (
            "density.components[0].weight=-1",
            "{path}: --set density.components[0].weight = -1 must be positive",
        ),
        (
            "density.components.0.weight=-1",
            "{path}: --set density.components[0].weight = -1 must be positive",
        ),
    ],
)
def test_broken_overrides(tmp_path, change, sentence):
    path = tmp_path / "plot.toml"
    path.write_text(VALID)
    with pytest.raises(ScenarioError) as error:
        load_scenario(path, overrides=[change])
    assert str(error.value) == sentence.replace("{path}", str(path))


POINTS = """kind = "points"
file = "counts.csv"
x_column = "x"
y_column = "y"
value_column = "count"
coordinates = "local-m"
"""
COUNTS = "x,y,count\n10,10,1\n30,10,2\n10,30,3\n30,30,4\n"


@pytest.mark.parametrize(
    ("old", "new", "csv", "sentence"),
    [
        ('"count"', '"counts"', COUNTS, "{csv}: has no column 'counts'; did you mean 'count'? columns: x, y, count"),
        ('"x"', '"easting"', COUNTS, "{csv}: has no column 'easting'; columns: x, y, count"),
        ('"x"', '"x"', "x,y,count\n1,2,many\n", "{csv}: line 2, column 'count': 'many' is not a number"),
        ('"x"', '"x"', "", "{csv}: is empty; expected a header line and one line a count"),
    ],
)
def test_broken_counts(tmp_path, old, new, csv, sentence):
    (tmp_path / "counts.csv").write_text(csv)
    (tmp_path / "plot.toml").write_text(VALID.replace(MIXTURE, POINTS).replace(old, new, 1))
    with pytest.raises(DensityError) as error:
        simulate(load_scenario(tmp_path / "plot.toml"))
    assert str(error.value) == sentence.replace("{csv}", str(tmp_path / "counts.csv"))


def test_a_start_outside_a_field_that_comes_from_the_data(tmp_path):
    (tmp_path / "counts.csv").write_text(COUNTS)
    text = VALID.replace(MIXTURE, POINTS).replace("[field]\n" + RECTANGLE, "")
    (tmp_path / "plot.toml").write_text(text.replace("n_agents = 3", "n_agents = 1\nstart_m = [[90, 90]]"))
    with pytest.raises(ScenarioError) as error:
        simulate(load_scenario(tmp_path / "plot.toml"))
    assert str(error.value) == (
        "plot: team.start_m[0] = [90, 90] must be inside the field (x 0 to 40 m, y 0 to 40 m) "
        "and outside its no-fly zones [m]"
    )


def test_an_unstable_horizon(tmp_path):
    text = VALID.replace('"double-integrator"\nmax_speed_m_s = 8.0', '"quadrotor"').replace('"dare"', '"none"')
    (tmp_path / "plot.toml").write_text(text.replace("horizon_steps = 15", "horizon_steps = 4"))
    with pytest.raises(UnstableLoopError) as error:
        simulate(load_scenario(tmp_path / "plot.toml"))
    assert str(error.value).startswith(
        "plot: control.horizon_steps = 4 makes the closed loop unstable (spectral radius 1."
    )
    assert "must be below 1); the smallest horizon that works is " in str(error.value)
    assert str(error.value).endswith(', or set control.terminal_cost = "dare"')


WEIRD = (
    None,
    0,
    -1,
    1.5,
    math.nan,
    math.inf,
    -math.inf,
    True,
    "",
    "x",
    "a\0b",
    "x" * 5000,
    [],
    [1],
    [[1, 2]],
    [[[]]],
    {},
    {"a": 1},
    [{}],
    10**30,
    10**400,
)
"""What may stand where something else is meant; None leaves the key out."""


def places(data, before=()):
    inner = data.items() if isinstance(data, dict) else enumerate(data) if isinstance(data, list) else ()
    for key, value in inner:
        yield (*before, key)
        yield from places(value, (*before, key))


@pytest.mark.parametrize("name", [info.name for info in shipped_scenarios()])
def test_nothing_in_any_place_ends_otherwise_than_in_a_sentence(name):
    path = next(info.path for info in shipped_scenarios() if info.name == name)
    valid = tomllib.loads(path.read_text())
    if "file" in valid["density"]:
        valid["density"]["file"] = str(path.parent / valid["density"]["file"])
    refused = 0
    for place in places(valid):
        for value in WEIRD:
            data = copy.deepcopy(valid)
            table = data
            for key in place[:-1]:
                table = table[key]
            if value is None:
                del table[place[-1]]
            else:
                table[place[-1]] = value
            try:
                validate(data, "s.toml")
            except D2ocError as error:
                refused += 1
                for line in str(error).splitlines():
                    assert line.startswith("s.toml: ")
                    assert "must be valid (" not in line, "a kind of mistake without a sentence of its own"
                    assert len(line) < 400
    assert refused > 100
