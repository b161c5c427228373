"""Records: written as the mission goes, read back whole, refused with a sentence."""

from __future__ import annotations

import json
import shutil

import numpy as np
import pytest

from d2oc import record
from d2oc.columns import read_columns, write_columns
from d2oc.errors import RecordError
from d2oc.record import FORMAT_VERSION, TABLES, load_record, remove_record

WHERE = np.random.default_rng(3).uniform(0, 100, (6, 3, 2))
EATEN = [(1, 2, 0, 0.25), (1, 0, 0, 0.125), (3, 1, 0, 0.5)]


@pytest.fixture
def written(record_by_hand, tmp_path):
    return record_by_hand(WHERE, consumption=EATEN, out=tmp_path / "run")


def same_tables(one, two):
    for name in ("samples", *TABLES):
        a, b = getattr(one, name), getattr(two, name)
        assert list(a) == list(b)
        for column, values in a.items():
            assert values.dtype == b[column].dtype, (name, column)
            assert np.array_equal(values, b[column], equal_nan=values.dtype.kind == "f"), (name, column)


def test_what_is_written_is_read(written, record_by_hand):
    memory = record_by_hand(WHERE, consumption=EATEN)
    read = load_record(written.path)
    same_tables(memory, read)
    assert read.header == memory.header
    assert read.digest() == memory.digest() == written.digest()
    assert read.scenario_toml == 'name = "by hand"\n'
    assert (read.status, read.complete, read.problems) == ("complete", True, [])


def test_tables_are_ordered_by_agent_then_tick_and_messages_by_tick(written):
    agent, tick = written.trajectory["agent"], written.trajectory["tick"]
    assert np.array_equal(agent, np.repeat([0, 1, 2], 6))
    assert np.array_equal(tick, np.tile(np.arange(6), 3))
    assert written.trajectory["time_s"] == pytest.approx(0.5 * tick)
    assert list(written.consumption["agent"]) == [0, 1, 2]
    assert list(written.consumption["tick"]) == [1, 3, 1]
    assert (np.diff(written.messages["tick"]) >= 0).all()


def test_by_tick_has_axes_tick_agent_column(written):
    assert np.array_equal(written.by_tick("x_m", "y_m"), WHERE)
    assert written.by_tick("active").shape == (6, 3, 1)


def test_parts_are_flushed_by_the_clock_and_merge_to_the_same_record(write_by_hand, tmp_path, record_by_hand):
    now = iter(np.arange(0.0, 100.0, 0.2))
    writer = write_by_hand(WHERE, consumption=EATEN, out=tmp_path / "run", clock=lambda: next(now))
    parts = list((tmp_path / "run" / "parts").glob("trajectory-*.parquet"))
    assert 2 <= len(parts) < 6
    running = load_record(tmp_path / "run")
    assert running.status == "running"
    assert running.n_ticks < 6
    finished = writer.finish("complete", {})
    assert not (tmp_path / "run" / "parts").exists()
    assert finished.digest() == record_by_hand(WHERE, consumption=EATEN).digest()


def test_a_tick_is_on_disk_half_a_second_later(write_by_hand, tmp_path):
    """With a slow clock everything waits, with one that jumps every tick is a part of its own."""
    write_by_hand(WHERE, out=tmp_path / "slow", clock=lambda: 0.0)
    write_by_hand(WHERE, out=tmp_path / "fast", clock=iter(np.arange(1000.0)).__next__)
    assert load_record(tmp_path / "slow").n_ticks == 1
    assert load_record(tmp_path / "fast").n_ticks == 6


def test_the_digest_sees_every_part_of_the_content(record_by_hand):
    digests = {record_by_hand(WHERE, consumption=EATEN).digest()}
    moved = WHERE.copy()
    moved[2, 1, 0] = np.nextafter(moved[2, 1, 0], 1e9)
    digests.add(record_by_hand(moved, consumption=EATEN).digest())
    digests.add(record_by_hand(WHERE, consumption=EATEN[:2]).digest())
    digests.add(record_by_hand(WHERE, consumption=EATEN, points=[[1.0, 1.0]]).digest())
    digests.add(record_by_hand(WHERE, consumption=EATEN, alpha=[0.1, 0.2, 0.3]).digest())
    assert len(digests) == 5


def test_tables_without_rows_keep_their_types(record_by_hand, tmp_path):
    record = record_by_hand(WHERE[:, :1], out=tmp_path / "run")
    for name in ("sender", "receiver", "entries", "bytes", "tick"):
        assert record.messages[name].shape == (0,)
        assert record.messages[name].dtype == np.int32
    assert record.consumption["amount"].dtype == np.float64
    assert record.digest() == record_by_hand(WHERE[:, :1]).digest()


def test_columns_survive_to_the_bit(tmp_path):
    columns = {
        "f": np.array([0.1, -0.0, np.inf, -np.inf, np.nan, 5e-324]),
        "i": np.array([0, -1, 2**31 - 1, -(2**31), 7, 7], np.int32),
        "l": np.array([0, -1, 2**63 - 1, -(2**63), 7, 7], np.int64),
        "b": np.array([True, False, True, True, False, False]),
    }
    write_columns(tmp_path / "t.parquet", columns)
    for name, values in read_columns(tmp_path / "t.parquet").items():
        assert values.dtype == columns[name].dtype
        assert values.tobytes() == columns[name].tobytes()
    assert [path.name for path in tmp_path.iterdir()] == ["t.parquet"]


def test_a_record_of_a_newer_format_is_refused(written):
    path = written.path / "run.json"
    path.write_text(json.dumps({**json.loads(path.read_text()), "format_version": FORMAT_VERSION + 1}))
    with pytest.raises(RecordError) as error:
        load_record(written.path)
    assert str(error.value) == (
        f"{written.path}: format_version = 2 is newer than this program reads (1); upgrade d2oc"
    )


@pytest.mark.parametrize(
    ("file", "content", "sentence"),
    [
        ("run.json", None, "{run}/run.json: no such file; is this a run folder?"),
        ("run.json", b"{", "{run}/run.json: not the header of a record (Expecting property name"),
        ("run.json", b"[]", "{run}/run.json: not the header of a record ("),
        ("run.json", b"{}", "{run}/run.json: not the header of a record (key 'format_version' is missing)"),
        ("run.json", b"\xff", "{run}/run.json: cannot be read ("),
        ("run.json", b'{"format_version": NaN}', "{run}/run.json: not the header of a record (NaN is no number"),
        (
            "run.json",
            b'{"format_version": 1, "status": "done"}',
            "{run}/run.json: not the header of a record (status: Input should be 'running', 'complete' or 'interr",
        ),
        (
            "run.json",
            b'{"format_version": 1, "status": "complete", "name": 3}',
            "{run}/run.json: not the header of a record (name: Input should be a valid string)",
        ),
        ("scenario.toml", None, "{run}/scenario.toml: no such file; is this a run folder?"),
        ("trajectory.parquet", None, "{run}/trajectory.parquet: no such file; the record is not whole"),
        ("samples.parquet", None, "{run}/samples.parquet: no such file; the record is not whole"),
        ("samples.parquet", b"", "{run}/samples.parquet: not a Parquet file, or cut short"),
        ("messages.parquet", b"PAR1", "{run}/messages.parquet: not a Parquet file, or cut short"),
        ("messages.parquet", b"PAR1" * 9, "{run}/messages.parquet: not a readable Parquet file ("),
    ],
)
def test_a_broken_record_is_refused_with_a_sentence(written, capfd, file, content, sentence):
    path = written.path / file
    path.unlink()
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(RecordError) as error:
        load_record(written.path).summary()
    assert str(error.value).startswith(sentence.replace("{run}", str(written.path)))
    assert "\n" not in str(error.value)
    assert capfd.readouterr().err == ""


def test_a_table_of_another_kind_is_refused(written):
    shutil.copy(written.path / "messages.parquet", written.path / "trajectory.parquet")
    with pytest.raises(RecordError, match=r"has no column agent, so it is not the table trajectory of a record$"):
        _ = load_record(written.path).n_ticks


@pytest.mark.parametrize("content", [None, b"{", b"[]"])
def test_without_provenance_a_record_reads_with_a_note(written, content):
    path = written.path / "provenance.json"
    path.unlink()
    if content is not None:
        path.write_bytes(content)
    record = load_record(written.path)
    assert len(record.problems) == 1
    assert record.problems[0].startswith(f"{path}: ")
    assert record.digest() == written.digest()
    assert record.summary()["timing"]["wall_time_s"] == 0.0


def test_no_folder_and_no_permission(record_by_hand, tmp_path):
    with pytest.raises(RecordError, match=r"nowhere: no such run folder$"):
        load_record(tmp_path / "nowhere")
    (tmp_path / "file").write_text("not a folder")
    with pytest.raises(RecordError, match=r"file: no such run folder$"):
        load_record(tmp_path / "file")
    with pytest.raises(RecordError, match=r"file/run: cannot be written \(Not a directory\)$"):
        record_by_hand(WHERE, out=tmp_path / "file" / "run")


def test_a_folder_that_vanishes_amid_the_mission_ends_in_a_sentence(write_by_hand, tmp_path):
    writer = write_by_hand(WHERE, out=tmp_path / "run", clock=lambda: 0.0)
    shutil.rmtree(tmp_path / "run")
    with pytest.raises(RecordError, match=r"consumption-000001.parquet: cannot be written \(No such file"):
        writer.flush()


def test_a_record_is_not_written_over(written, record_by_hand):
    with pytest.raises(RecordError, match="holds a record already; choose another folder, or add --overwrite"):
        record_by_hand(WHERE, out=written.path)


def test_removing_a_record_leaves_what_is_not_of_it(written):
    (written.path / "notes.txt").write_text("of the user")
    remove_record(written.path)
    assert [path.name for path in written.path.iterdir()] == ["notes.txt"]
    remove_record(written.path)
    assert (written.path / "notes.txt").exists()


def test_a_record_from_before_there_were_events_reads_as_one_without(written):
    digest = load_record(written.path).digest()
    (written.path / "events.parquet").unlink()
    old = load_record(written.path)
    assert {name: len(values) for name, values in old.events.items()} == {"tick": 0, "agent": 0, "code": 0}
    assert old.digest() == digest
    assert old.summary()["n_fallbacks"] == 0


def test_a_file_that_cannot_be_written_is_named_and_leaves_nothing_behind(tmp_path):
    with pytest.raises(RecordError, match=r"nowhere/run\.json: cannot be written \(No such file or directory\)"):
        record._write(tmp_path / "nowhere" / "run.json", b"{}")
    (tmp_path / "flight.msgpack").mkdir()
    with pytest.raises(RecordError, match=r"flight\.msgpack: cannot be written \(Is a directory\)"):
        record._write(tmp_path / "flight.msgpack", b"")
    assert list(tmp_path.rglob("*.unfinished")) == []
