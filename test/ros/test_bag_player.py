# SPDX-License-Identifier: Apache-2.0
"""The bag player over real DDS: the player is a process of its own, the subscriber is in the test's."""

import os
import re
import signal
import subprocess
import sys
import time
from contextlib import closing
from itertools import groupby, pairwise
from pathlib import Path

import numpy as np
import pytest

rclpy = pytest.importorskip("rclpy")
rosbag2 = pytest.importorskip("rosbags.rosbag2")
import rosbags.interfaces as rosbags_interfaces  # noqa: E402
from rclpy.context import Context  # noqa: E402
from rclpy.executors import SingleThreadedExecutor  # noqa: E402
from rclpy.qos import DurabilityPolicy, QoSProfile  # noqa: E402
from rclpy.serialization import deserialize_message  # noqa: E402
from rosbags.typesys import Stores, get_types_from_msg, get_typestore  # noqa: E402
from rosgraph_msgs.msg import Clock  # noqa: E402
from sensor_msgs.msg import CompressedImage, Image  # noqa: E402

from vizion3d.errors import DependencyError, InputError  # noqa: E402
from vizion3d_ros import fast_dds  # noqa: E402
from vizion3d_ros.bag.player import main  # noqa: E402
from vizion3d_ros.bag.reader import BagReader  # noqa: E402
from vizion3d_ros.conversions import rgb_from_image  # noqa: E402
from vizion3d_ros.demo.domains import reserved_domain  # noqa: E402
from vizion3d_ros.graph import find_message_type  # noqa: E402

REPOSITORY = Path(__file__).parents[2]
BAGS = Path(os.environ.get("VIZION3D_TEST_DATA", REPOSITORY.parent / "shared" / "data")) / "bags"
START_NS = 1_700_000_000_123_456_789
HEADER = "std_msgs/msg/Header"


@pytest.fixture(autouse=True)
def own_domain(monkeypatch):
    """A ROS domain per test, on this machine only, with shared memory large enough for images."""
    for name, value in fast_dds.environment().items():
        monkeypatch.setenv(name, value)
    monkeypatch.setenv("ROS_AUTOMATIC_DISCOVERY_RANGE", "LOCALHOST")
    with reserved_domain() as domain:
        monkeypatch.setenv("ROS_DOMAIN_ID", str(domain))
        yield


class Subscriber:
    """Collects (topic, CDR bytes, arrival in s) of the given topics, in the order of arrival."""

    def __init__(self):
        self.context = Context()
        rclpy.init(context=self.context)
        self.node = rclpy.create_node("subscriber", context=self.context)
        self.executor = SingleThreadedExecutor(context=self.context)
        self.executor.add_node(self.node)
        self.received = []

    def subscribe(self, topics, durability=DurabilityPolicy.VOLATILE):
        for name, type_name in topics.items():
            self.node.create_subscription(
                find_message_type(type_name),
                name,
                lambda cdr, name=name: self.received.append((name, cdr, time.monotonic())),
                QoSProfile(depth=1000, durability=durability),
                raw=True,
            )

    def spin_until(self, is_done, timeout_s=20.0):
        deadline = time.monotonic() + timeout_s
        while not is_done():
            assert time.monotonic() < deadline, f"only {len(self.received)} messages after {timeout_s} s"
            self.executor.spin_once(timeout_sec=0.05)

    def end(self, process):
        """Output of a player that ended by itself, and well. It asks for an answer before, which takes a node that spins."""
        self.spin_until(lambda: process.poll() is not None)
        return ended(process)

    def of(self, topic):
        return [padded(cdr) for name, cdr, _ in self.received if name == topic]

    def close(self):
        self.executor.shutdown()
        self.node.destroy_node()
        self.context.try_shutdown()


@pytest.fixture
def subscriber():
    subscriber = Subscriber()
    yield subscriber
    subscriber.close()


@pytest.fixture
def start_player():
    """Start the player as the console script does, in a process group of its own."""
    processes = []

    def start(*arguments):
        script = "from vizion3d_ros.program import bag_player; bag_player()"
        command = [sys.executable, "-c", script, *map(str, arguments)]
        pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.STDOUT, "text": True}
        processes.append(subprocess.Popen(command, cwd=REPOSITORY, start_new_session=True, **pipes))
        return processes[-1]

    yield start
    for process in processes:
        if process.poll() is None:
            os.killpg(process.pid, signal.SIGINT)  # a killed player would leave its shared memory behind
        try:
            process.communicate(timeout=5)
        except subprocess.TimeoutExpired:
            os.killpg(process.pid, signal.SIGKILL)
            process.communicate()


def ended(process):
    """Output of a player that ended by itself, and well."""
    output, _ = process.communicate(timeout=20)
    assert process.returncode == 0, output
    assert "Traceback" not in output
    assert "did not answer" not in output
    return output


def write_bag(path, topics, stamps_ns, storage=rosbag2.StoragePlugin.SQLITE3, types="", qos=(), compression=None):
    """A bag with a Header (or the type given with its definition) on every topic at every stamp; returns its path."""
    store = get_typestore(Stores.ROS2_HUMBLE)
    if types:
        store.register(get_types_from_msg("int32 value", types))
    writer = rosbag2.Writer(path, version=8, storage_plugin=storage)
    if compression is not None:
        writer.set_compression(compression, rosbag2.CompressionFormat.ZSTD)
    with writer:
        connections = [
            writer.add_connection(name, type_name, typestore=store, offered_qos_profiles=qos)
            for name, type_name in topics.items()
        ]
        for index, stamp_ns in enumerate(stamps_ns):
            for connection in connections:
                writer.write(connection, stamp_ns, header_cdr(store, connection.msgtype, index, stamp_ns))
    return path


def header_cdr(store, type_name, index, stamp_ns):
    if type_name != HEADER:
        return store.serialize_cdr(store.types[type_name](value=index), type_name)
    stamp = store.types["builtin_interfaces/msg/Time"](*divmod(stamp_ns, 10**9))
    return store.serialize_cdr(store.types[HEADER](stamp, f"frame{index}"), HEADER)


@pytest.fixture
def small_bag(tmp_path):
    """Ten pairs of Headers on /left and /right, 50 ms apart."""
    return write_bag(tmp_path / "small", {"/left": HEADER, "/right": HEADER}, [START_NS + i * 50_000_000 for i in range(10)])


def shared_bag(name):
    if not (BAGS / name).is_dir():
        pytest.skip(f"no bag {BAGS / name}; set VIZION3D_TEST_DATA to the folder of the test data")
    return BAGS / name


def expected(path):
    """What rosbags reads from a bag: topics with types, and messages as (topic, CDR bytes)."""
    with rosbag2.Reader(path) as reader:
        topics = {connection.topic: connection.msgtype for connection in reader.connections}
        return topics, [(connection.topic, cdr) for connection, _, cdr in reader.messages()]


def padded(cdr):
    """CDR as DDS delivers it: filled up with zeros to a multiple of four bytes."""
    return cdr + bytes(-len(cdr) % 4)


def stamp_ns(cdr):
    stamp = deserialize_message(cdr, find_message_type(HEADER)).stamp
    return stamp.sec * 10**9 + stamp.nanosec


@pytest.mark.parametrize(
    ("name", "last_stamp_ns"),
    [("kitti_rect", 1_300_000_000_500_000_000), ("euroc_v1_01_raw", 1_403_715_274_162_142_976)],
)
def test_every_message_of_a_real_bag_arrives_unchanged_and_in_order(name, last_stamp_ns, subscriber, start_player):
    bag = shared_bag(name)
    topics, messages = expected(bag)
    subscriber.subscribe(topics)
    player = start_player(bag, "--rate", 5, "--wait-for-subscribers", *topics)
    subscriber.spin_until(lambda: len(subscriber.received) == len(messages))
    for topic in topics:
        assert subscriber.of(topic) == [padded(cdr) for sent_topic, cdr in messages if sent_topic == topic]
    camera_info = next(topic for topic in topics if topic.endswith("left/camera_info"))
    last = deserialize_message(subscriber.of(camera_info)[-1], find_message_type(topics[camera_info]))
    assert last.header.stamp.sec * 10**9 + last.header.stamp.nanosec == last_stamp_ns
    assert f"{len(messages)} messages of {len(topics)} topics" in subscriber.end(player)


def test_after_a_stall_playback_resumes_without_a_burst(tmp_path, subscriber, start_player):
    bag = write_bag(tmp_path / "bag", {"/left": HEADER}, [START_NS + i * 100_000_000 for i in range(12)])
    subscriber.subscribe({"/left": HEADER})
    player = start_player(bag, "--wait-for-subscribers", "/left")
    subscriber.spin_until(lambda: len(subscriber.received) == 4)
    os.killpg(player.pid, signal.SIGSTOP)
    time.sleep(0.6)
    os.killpg(player.pid, signal.SIGCONT)
    subscriber.spin_until(lambda: len(subscriber.received) == 12)
    assert subscriber.received[-1][2] - subscriber.received[4][2] > 0.4  # 0.7 as recorded; a burst would take 0.1
    assert "playback stalled" in subscriber.end(player)


def test_loop_keeps_to_the_schedule_at_half_speed_and_the_clock_jumps_back_with_it(small_bag, subscriber, start_player):
    clock_ns = []
    subscriber.node.create_subscription(
        Clock, "/clock", lambda message: clock_ns.append(message.clock.sec * 10**9 + message.clock.nanosec), 1000
    )
    subscriber.subscribe({"/left": HEADER})
    player = start_player(small_bag, "--loop", 3, "--rate", 0.5, "--clock", "--wait-for-subscribers", "/left", "/clock")
    subscriber.spin_until(lambda: len(subscriber.received) == 30 and clock_ns[-1:] == [START_NS + 450_000_000])
    subscriber.end(player)
    assert [stamp_ns(cdr) for cdr in subscriber.of("/left")] == [START_NS + i * 50_000_000 for i in range(10)] * 3
    for start in (0, 10, 20):
        arrivals_s = [arrival_s for _, _, arrival_s in subscriber.received[start : start + 10]]
        lateness_s = sorted(arrival_s - index * 0.1 for index, arrival_s in enumerate(arrivals_s))
        assert lateness_s[7] - lateness_s[2] < 0.2  # single messages may be delayed on a busy machine
    jumps = [index + 1 for index, (earlier, later) in enumerate(pairwise(clock_ns)) if later < earlier]
    assert [clock_ns[index] for index in (0, *jumps)] == [START_NS] * 3
    assert set(range(START_NS, START_NS + 500_000_000, 50_000_000)) <= set(clock_ns)
    # 100 ms of wall time between messages leave room for three ticks of 25 ms; a busy machine may miss some.
    assert len(clock_ns) > 3 * (10 + 9)
    assert all(len(list(group)) == 1 for _, group in groupby(clock_ns))


def test_topics_are_remapped_and_a_file_in_a_compressed_bag_is_enough(tmp_path, subscriber, start_player):
    bag = write_bag(tmp_path / "bag", {"/left": HEADER}, [START_NS], compression=rosbag2.CompressionMode.MESSAGE)
    subscriber.subscribe({"/camera/left": HEADER})
    player = start_player(bag / "bag.db3", "--wait-for-subscribers", "/left", "--ros-args", "-r", "/left:=/camera/left")
    subscriber.spin_until(lambda: subscriber.received)
    assert stamp_ns(subscriber.received[0][1]) == START_NS
    subscriber.end(player)


def test_a_latched_topic_reaches_those_who_come_late(tmp_path, subscriber, start_player):
    qos = rosbags_interfaces.Qos(
        rosbags_interfaces.QosHistory.KEEP_LAST,
        1,
        rosbags_interfaces.QosReliability.RELIABLE,
        rosbags_interfaces.QosDurability.TRANSIENT_LOCAL,
        *[rosbags_interfaces.QosTime(0, 0)] * 2,
        rosbags_interfaces.QosLiveliness.AUTOMATIC,
        rosbags_interfaces.QosTime(0, 0),
        False,
    )
    bag = write_bag(tmp_path / "bag", {"/tf_static": HEADER}, [START_NS, START_NS + 60 * 10**9], qos=[qos])
    with closing(BagReader(bag)) as reader:
        assert reader.topics["/tf_static"].qos == "reliable, transient_local"
    player = start_player(bag, "--best-effort")
    while "1 topics" not in player.stdout.readline():
        pass
    subscriber.subscribe({"/tf_static": HEADER}, DurabilityPolicy.TRANSIENT_LOCAL)
    subscriber.spin_until(lambda: subscriber.received)
    assert stamp_ns(subscriber.received[0][1]) == START_NS


def test_a_topic_whose_messages_are_not_installed_is_left_out_with_a_warning(tmp_path, capfd):
    topics = {"/thing": "unheard_of_msgs/msg/Thing", "/left": HEADER}
    bag = write_bag(tmp_path / "bag", topics, [START_NS, START_NS + 1], types="unheard_of_msgs/msg/Thing")
    assert main([str(bag)]) == 0
    output = "".join(capfd.readouterr())
    assert output.count("not playing /thing: its message type unheard_of_msgs/msg/Thing is not installed") == 1
    assert "2 messages of 1 topics" in output


def test_images_can_be_played_compressed(subscriber, start_player):
    bag = BAGS / "euroc_v1_01_raw"
    if not bag.is_dir():
        pytest.skip(f"no test data at {bag}")
    image, info = "/stereo/left/image_raw", "/stereo/left/camera_info"
    subscriber.subscribe({f"{image}/compressed": "sensor_msgs/msg/CompressedImage", info: "sensor_msgs/msg/CameraInfo"})
    player = start_player(bag, "--topics", image, info, "--compressed", "png", "--wait-for-subscribers", image, info)
    with closing(BagReader(bag)) as reader:
        recorded = [deserialize_message(bytes(cdr), Image) for _, _, cdr in reader.messages([image])]
        subscriber.spin_until(lambda: len(subscriber.received) == 2 * len(recorded))
    subscriber.end(player)
    played = [deserialize_message(cdr, CompressedImage) for name, cdr, _ in subscriber.received if name != info]
    for sent, got in zip(recorded, played, strict=True):
        assert got.header == sent.header
        np.testing.assert_array_equal(rgb_from_image(got), rgb_from_image(sent))


@pytest.mark.parametrize("signal_number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_signals_end_an_endless_playback_at_once(signal_number, small_bag, subscriber, start_player):
    subscriber.subscribe({"/left": HEADER})
    player = start_player(small_bag, "--loop", "--clock")
    subscriber.spin_until(lambda: len(subscriber.received) > 15)
    os.killpg(player.pid, signal_number)
    subscriber.end(player)


def test_sigint_ends_the_wait_for_subscribers(small_bag, start_player):
    player = start_player(small_bag, "--wait-for-subscribers", "/left")
    while "waiting up to 30 s for subscribers of /left" not in player.stdout.readline():
        pass
    os.killpg(player.pid, signal.SIGINT)
    assert "no subscriber" not in ended(player)


def test_missing_subscribers_are_named(small_bag, capsys):
    arguments = ["--wait-for-subscribers", "/left", "/right", "--wait-timeout", "0.1"]
    assert main([str(small_bag), *arguments, "--ros-args", "-r", "/left:=/other"]) == 1
    assert "no subscriber of /other, /right after 0.1 s" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--topics", "/left", "/middle"], "has no topic /middle; available: /left, /right"),
        (["--topics", "/left", "--wait-for-subscribers", "/right"], "subscribers of /right; available: /left"),
    ],
)
def test_unknown_topics_are_refused_with_the_known_ones(arguments, message, small_bag, capsys):
    assert main([str(small_bag), *arguments]) == 2
    assert message in capsys.readouterr().err


def test_what_is_not_a_bag_is_refused(tmp_path, capsys):
    (tmp_path / "broken.mcap").write_bytes(b"no mcap at all")
    (tmp_path / "broken.db3").write_bytes(b"no database at all" * 100)
    (tmp_path / "old.bag").write_bytes(b"#ROSBAG V2.0\n")
    (tmp_path / "folder").mkdir()
    for name, message in [
        ("missing", "does not exist"),
        ("folder", "give the directory with its metadata.yaml"),
        ("broken.mcap", "File magic is invalid"),
        ("broken.db3", "file is not a database"),
        ("old.bag", "cannot be read as a recording"),
    ]:
        assert main([str(tmp_path / name)]) == 2
        error = capsys.readouterr().err
        assert message in error
        assert str(tmp_path / name) in error


def test_a_bag_without_messages_is_refused(tmp_path, capsys):
    write_bag(tmp_path / "bag", {"/left": HEADER}, [])
    assert main([str(tmp_path / "bag"), "--loop"]) == 2
    assert "has no message to play on /left" in capsys.readouterr().err


@pytest.mark.parametrize("option", ["--rate", "--loop", "--wait-timeout"])
@pytest.mark.parametrize("value", ["0", "-1", "nan", "inf", "fast"])
def test_numbers_must_be_positive(option, value, capsys):
    with pytest.raises(SystemExit) as stop:
        main(["bag", f"{option}={value}"])
    assert stop.value.code == 2
    assert f"invalid positive value: '{value}'" in capsys.readouterr().err


def test_damage_in_the_middle_is_reported_when_reading_gets_there(tmp_path):
    stamps_ns = range(START_NS, START_NS + 50)
    bag = write_bag(tmp_path / "bag", {"/left": HEADER}, stamps_ns, storage=rosbag2.StoragePlugin.MCAP)
    content = bytearray((bag / "bag.mcap").read_bytes())
    middle = content.index(b"frame25")
    content[middle : middle + 100] = b"\xff" * 100
    (bag / "bag.mcap").write_bytes(content)
    reader = BagReader(bag)
    assert reader.topics["/left"].message_count == 50
    with pytest.raises(InputError, match=rf"{bag} cannot be read as a recording"):
        list(reader.messages(["/left"]))


def test_stamps_of_overlapping_files_never_decrease(tmp_path):
    first = write_bag(tmp_path / "first", {"/left": HEADER}, [10, 30])
    write_bag(tmp_path / "second", {"/left": HEADER}, [20, 40])
    (tmp_path / "second" / "second.db3").rename(first / "second.db3")
    metadata = (first / "metadata.yaml").read_text()
    (first / "metadata.yaml").write_text(metadata.replace("  - first.db3\n", "  - first.db3\n  - second.db3\n", 1))
    messages = list(BagReader(first).messages(["/left"]))
    assert [stamp for _, stamp, _ in messages] == [10, 30, 30, 40]


@pytest.mark.parametrize("storage", list(rosbag2.StoragePlugin), ids=lambda storage: storage.name)
@pytest.mark.parametrize("metadata", ["as written", "missing", "without a storage"])
@pytest.mark.parametrize("files", [1, 3])
def test_bags_are_read_without_what_metadata_say(tmp_path, storage, metadata, files):
    """As recordings look that were cut off, copied in part or written by other tools."""
    stamps_ns = [START_NS + i * 10_000_000 for i in range(12)]
    bag = tmp_path / "bag"
    for number in range(files):
        part = write_bag(tmp_path / f"bag_{number}", {"/left": HEADER, "/right": HEADER}, stamps_ns[number::files], storage)
        bag.mkdir(exist_ok=True)
        for file in part.iterdir():
            file.rename(bag / file.name)
    if metadata == "missing":
        (bag / "metadata.yaml").unlink()
    else:
        text = (bag / "metadata.yaml").read_text()
        ending = {rosbag2.StoragePlugin.MCAP: "mcap", rosbag2.StoragePlugin.SQLITE3: "db3"}[storage]
        others = "".join(f"  - bag_{number}.{ending}\n" for number in range(files - 1))
        last = f"  - bag_{files - 1}.{ending}\n"
        text = text.replace(last, others + last, 1)
        if metadata == "without a storage":
            text = re.sub("storage_identifier: .*", 'storage_identifier: ""', text)
        (bag / "metadata.yaml").write_text(text)
    reader = BagReader(bag)
    found = list(reader.messages(["/left"]))
    assert len(found) == 12
    if metadata == "as written":  # where rosbags goes through files one by one
        assert [stamp for _, stamp, _ in found] == sorted(stamp for _, stamp, _ in found)
    else:
        assert [stamp for _, stamp, _ in found] == stamps_ns
        assert {stamp_ns(cdr) for _, _, cdr in found} == set(stamps_ns)
        assert {name: topic.message_count for name, topic in reader.topics.items()} == {"/left": 12, "/right": 12}
    reader.close()


def test_a_compressed_bag_without_a_storage_is_told_what_to_write(tmp_path):
    bag = write_bag(tmp_path / "bag", {"/left": HEADER}, [START_NS], compression=rosbag2.CompressionMode.MESSAGE)
    text = (bag / "metadata.yaml").read_text()
    (bag / "metadata.yaml").write_text(re.sub("storage_identifier: .*", 'storage_identifier: ""', text))
    with pytest.raises(
        InputError, match=r'has no storage_identifier although the bag is compressed; write "mcap" or "sqlite3"'
    ):
        BagReader(bag)
    (bag / "metadata.yaml").write_text("")
    with pytest.raises(InputError, match="cannot be read as a recording .*metadata.yaml"):
        BagReader(bag)


def test_without_rosbags_the_message_says_what_to_install(tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "rosbags.rosbag2", None)
    with pytest.raises(DependencyError, match="pip install rosbags"):
        BagReader(tmp_path)
