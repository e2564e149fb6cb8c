"""Runs on Ray clusters of this machine."""

import os
import shutil
import signal
import threading
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager
from functools import partial
from ipaddress import ip_address
from pathlib import Path
from typing import Any, TypeVar

import psutil
import pytest

from helpers import asking, small
from helpers.executor_contract import ExecutorContract, note, stay, whose
from helpers.forking import result_of
from helpers.killing import Attempt, attempt, raise_unportable, refuse_to_start
from helpers.noting import Noting
from helpers.sockets import listening
from helpers.spoiling import spoil, sum_of
from helpers.taking import largest_taken
from tuneoff.errors import InputError, TuneoffError
from tuneoff.interrupts import Terminated, interrupts_remembered
from tuneoff.results import StudyFolder, read_records
from tuneoff.spec import ModelSpec, ResourcesSpec, RunSpec, expand
from tuneoff.study import Event, InlineExecutor, Job, Lost, PointLogged, TrialStarted, run_study

ray = pytest.importorskip("ray")
from ray.cluster_utils import Cluster  # noqa: E402

from tuneoff.study import ray_cluster, ray_executor  # noqa: E402
from tuneoff.study.ray_cluster import NodeAnswer, check_equal, check_nodes  # noqa: E402
from tuneoff.study.ray_executor import RayExecutor  # noqa: E402
from tuneoff.training import Session, load_backbone  # noqa: E402

J = TypeVar("J")
R = TypeVar("R")
TESTS = Path(__file__).parents[1]
pytestmark = [pytest.mark.slow, pytest.mark.subprocess]


@contextmanager
def sigterm_kept() -> Iterator[None]:
    """Undo that Ray lets SIGTERM end this process."""
    before = signal.getsignal(signal.SIGTERM)
    yield
    signal.signal(signal.SIGTERM, before)


@pytest.fixture(scope="module")
def node_options(tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, Any]]:
    """What every node is started with: room for one run, and workers that are forks."""
    with asking.forks_of("ray._private.workers.default_worker", tmp_path_factory.mktemp("forks") / "socket"):
        yield {"num_cpus": 1, "worker_path": asking.PROGRAM}


@pytest.fixture(scope="module", autouse=True)
def cluster(node_options: dict[str, Any]) -> Iterator[Cluster]:
    """Two nodes."""
    paths = [str(TESTS), os.environ.get("PYTHONPATH", "")]
    with pytest.MonkeyPatch.context() as patched:
        patched.setenv("PYTHONPATH", os.pathsep.join(filter(None, paths)))  # of the work that jobs name
        patched.setenv("RAY_health_check_period_ms", "500")  # a lost node is noticed after five of them
        with sigterm_kept():
            nodes = Cluster(initialize_head=True, head_node_args=node_options | {"include_dashboard": False})
            nodes.add_node(**node_options)
            ray.init(address=nodes.address, log_to_driver=False, logging_level="ERROR")
        yield nodes
        ray.shutdown()
        nodes.shutdown()


def await_idle() -> None:
    """Wait until no task takes a processor."""
    for _ in range(600):
        if ray.available_resources().get("CPU") == ray.cluster_resources()["CPU"]:
            return
        time.sleep(0.1)
    pytest.fail("a task has not ended")


def on_ray(folder: Path, *runs: RunSpec) -> RayExecutor:
    return RayExecutor(folder, ResourcesSpec(), runs)


class TestRayExecutor(ExecutorContract):
    @classmethod
    def executor(cls) -> RayExecutor:
        return on_ray(Path())

    @pytest.fixture(autouse=True)
    def short_stop(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(ray_executor, "_STOP_SECONDS", 1.0)

    def test_closing_it_ends_the_work(self, jobs: list[Job]) -> None:
        first = jobs[0].spec.run_id
        records = self.executor().map(partial(stay, first=first), jobs)
        assert next(records).run_id == first
        records.close()
        await_idle()

    def test_each_worker_prepares_once_before_its_first_job(self, jobs: list[Job], tmp_path: Path) -> None:
        with closing(on_ray(tmp_path)) as executor:
            executor.prepare(partial(note, tmp_path))
            done_by = {str(worker) for _ in range(2) for worker in executor.map(whose, jobs)}
        assert done_by == {path.name for path in tmp_path.iterdir()}
        assert str(os.getpid()) not in done_by

    def test_a_job_whose_worker_is_lost_is_done_once_more_after_the_others(self, tmp_path: Path) -> None:
        fatal = Attempt("a", tmp_path, ("killed", "killed"))
        others = [Attempt(name, tmp_path) for name in "bc"]
        *done, lost = on_ray(tmp_path).map(attempt, [fatal, *others])
        assert sorted(map(str, done)) == ["b", "c"]
        assert isinstance(lost, Lost)
        assert (lost.job, lost.state) == (fatal, "failed")
        assert "its worker process was lost on the Ray cluster" in lost.message
        assert [job.times for job in (fatal, *others)] == [2, 1, 1]

    def test_a_preparation_that_fails_is_one_error(self, tmp_path: Path) -> None:
        executor = on_ray(tmp_path)
        executor.prepare(refuse_to_start)
        with pytest.raises(TuneoffError, match="a worker process cannot start: no room"):
            list(executor.map(attempt, [Attempt(name, tmp_path) for name in "abc"]))

    def test_an_exception_that_does_not_travel_is_reported_in_words(self, tmp_path: Path) -> None:
        with pytest.raises(RuntimeError, match="Unportable: 1 and more"):
            list(on_ray(tmp_path).map(raise_unportable, [1]))


def test_more_than_any_node_has_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"no node .* asks for, 64 cpus, 8GB; ask for less"):
        RayExecutor(tmp_path, ResourcesSpec(cpus=64, memory="8GB"))


def test_each_run_has_a_copy_of_the_model_from_where_the_command_runs(tmp_path: Path) -> None:
    random, folder = load_backbone(ModelSpec(id="builtin:random")), tmp_path / "model"
    random.model.save_pretrained(folder)
    random.tokenizer.save_pretrained(folder)
    model = ModelSpec(id=str(folder))
    digest, total = load_backbone(model).digest, sum_of(random)
    study = small.spec(tmp_path, [f"model.id={folder}", "methods={full: {kind: full}}", "ablations={}"])
    executor = on_ray(tmp_path, *expand(study))
    executor.prepare(Session)
    shutil.rmtree(folder)  # so no worker can read it
    # five copies of the weights, and a gigabyte
    assert executor.resources["memory"] == 5 * random.model.get_memory_footprint() + 10**9
    found = list(executor.map(partial(spoil, model), range(4)))
    assert [one for one, _ in found] == [digest] * 4
    assert [one for _, one in found] == pytest.approx([total] * 4)


def test_a_run_asks_for_the_memory_that_it_takes(tmp_path: Path) -> None:
    runs = expand(small.spec(tmp_path, ["methods={full: {kind: full}}", "ablations={}", "train_sizes=[8]"]))
    executor = on_ray(tmp_path, *runs)
    executor.prepare(Session)
    jobs = [Job(run, tmp_path / run.run_id) for run in runs]
    (taken,) = set(executor.map(largest_taken, jobs[:1]))
    assert 0.9 * taken < executor.resources["memory"] < 1.5 * taken


@pytest.mark.parametrize(
    ("second", "message"),
    [
        (NodeAnswer({"torch": "2", "device": "cpu"}, sees_folder=True), None),
        (NodeAnswer({"torch": "1", "device": "cpu"}, sees_folder=True), "torch is 1 on node b and 2 here"),
        (
            NodeAnswer({"torch": "2", "device": "cuda"}, sees_folder=True),
            "device is cuda on node b and cpu on node a",
        ),
        (NodeAnswer({"torch": "2", "device": "cpu"}, sees_folder=False), "node b has no "),
    ],
)
def test_nodes_must_be_equal_and_see_the_folder(
    second: NodeAnswer, message: str | None, tmp_path: Path
) -> None:
    answers = {"a": NodeAnswer({"torch": "2", "device": "cpu"}, sees_folder=True), "b": second}
    if message is None:
        check_equal(answers, {"torch": "2"}, tmp_path)
        return
    with pytest.raises(InputError, match=message):
        check_equal(answers, {"torch": "2"}, tmp_path)


def test_a_node_that_has_left_before_it_answers_is_passed_over(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    gone = {"NodeID": "0" * len(ray.nodes()[0]["NodeID"]), "NodeManagerHostname": "gone"}
    known = [*ray_cluster.nodes(), gone]
    monkeypatch.setattr(ray_cluster, "fitting", lambda amounts: known)
    check_nodes({"num_cpus": 1.0}, tmp_path)
    known[:] = [gone]
    with pytest.raises(InputError, match=r"every node .* has left it; start one"):
        check_nodes({"num_cpus": 1.0}, tmp_path)


def records_in(folder: Path) -> dict[str, dict[str, Any]]:
    return {one.run_id: one.model_dump(exclude={"timings", "environment"}) for one in read_records(folder)}


def test_a_study_outlives_a_node_and_is_that_of_one_process(
    cluster: Cluster, node_options: dict[str, Any], tmp_path: Path
) -> None:
    search = "search={trials: 2, max_steps: 2, space: {learning_rate: [1.0e-4, 1.0e-2, log]}}"
    tuned = "methods={lora: {kind: lora, rank: 2, dropout: 0.1}}"
    study = small.spec(tmp_path, [search, tuned, "training.max_steps=6"])
    run_study(study, tmp_path / "inline", executor=InlineExecutor())
    with sigterm_kept():
        third = cluster.add_node(**node_options)
    executor = Noting(on_ray(tmp_path / "ray", *expand(study)), tmp_path / "notes", third.node_id)
    lost: list[str] = []

    def kill_third(event: Event) -> None:
        if isinstance(event, TrialStarted) and not lost and executor.kill_worker(event.search.search_id):
            lost.append(event.search.search_id)
            cluster.remove_node(third, allow_graceful=False)

    run_study(study, tmp_path / "ray", executor=executor, on_event=kill_third)
    assert [executor.times(job) for job in lost] == [2]
    assert records_in(tmp_path / "ray") == records_in(tmp_path / "inline")


def test_a_terminated_run_leaves_a_checkpoint_and_goes_on_from_it(tmp_path: Path) -> None:
    changes = ["methods={lora: {kind: lora, rank: 2}}", "ablations={}", "train_sizes=[8]"]
    study = small.spec(tmp_path, [*changes, "training.max_steps=60"])
    run_study(study, tmp_path / "inline", executor=InlineExecutor())
    first_steps: list[int] = []

    def terminate(event: Event) -> None:
        if isinstance(event, PointLogged) and event.point.step == 1:
            threading.Timer(0.1, os.kill, (os.getpid(), signal.SIGTERM)).start()  # while Ray waits

    def note_step(event: Event) -> None:
        if isinstance(event, PointLogged):
            first_steps.append(event.point.step)

    with pytest.raises(Terminated), interrupts_remembered():
        run_study(study, tmp_path / "ray", executor=on_ray(tmp_path / "ray"), on_event=terminate)
    await_idle()
    (record,) = read_records(tmp_path / "ray")
    assert record.state == "cancelled"
    assert StudyFolder(tmp_path / "ray").run(record.run_id).checkpoint.exists()
    run_study(study, tmp_path / "ray", executor=on_ray(tmp_path / "ray"), on_event=note_step)
    assert first_steps[0] > 1
    assert records_in(tmp_path / "ray") == records_in(tmp_path / "inline")


def processes_and_where_they_are_heard() -> tuple[int, list[tuple[str, int]]]:
    """The number of processes of a cluster of one's own, and the addresses at which any of them is heard."""
    os.environ.pop("RAY_ADDRESS", None)
    RayExecutor(Path(), ResourcesSpec())
    worker = ray.get(ray.remote(lambda: os.getpid()).remote())
    own = psutil.Process()
    processes = {one.pid: one for one in (own, *own.children(recursive=True), psutil.Process(worker))}
    heard_at = sorted(listening(*processes.values()))
    ray.shutdown()
    return len(processes), heard_at


def test_a_cluster_of_one_s_own_is_heard_by_this_machine_alone() -> None:
    processes, heard_at = result_of(processes_and_where_they_are_heard)
    assert processes > 4
    assert len(heard_at) > 4
    for host, _ in heard_at:
        address = ip_address(host)
        assert (getattr(address, "ipv4_mapped", None) or address).is_loopback, heard_at


def test_a_cluster_of_one_s_own_that_others_could_reach_is_ended_at_once(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    ended: list[bool] = []
    monkeypatch.delenv("RAY_ADDRESS", raising=False)
    monkeypatch.setattr(ray, "init", lambda **options: None)
    monkeypatch.setattr(ray, "shutdown", lambda: ended.append(True))
    monkeypatch.setattr(ray_cluster, "nodes", lambda: [{"NodeManagerAddress": "192.0.2.1"}])
    with pytest.raises(InputError, match=r"Ray has put it at 192\.0\.2\.1; .*give --address"):
        ray_cluster.join(None)
    assert ended == [True]
