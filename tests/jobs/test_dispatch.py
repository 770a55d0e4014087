"""Which worker a run goes to, on imitated clusters: every device is used, and none is promised twice."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest
import torch

from engine.cli.main import main
from engine.hardware.gpus import CUDA
from engine.jobs import dispatch, worker
from engine.jobs.dask_settings import CPU, DEVICE
from engine.jobs.dispatch import ALL_CORES, MANY, MEMORY
from engine.jobs.fleet import FIRST, START, VARIABLE, Device, further_workers, workers_wanted
from engine.jobs.job import Needs
from engine.jobs.queue import RunQueue
from engine.recipe import Recipe, pin
from engine.record import RunRecord
from engine.store.runs import Store
from tests.conftest import RecipeMaker
from tests.jobs.imitated_cluster import GPUS, THREADS, Elsewhere, Here, gpu_worker

ON_GPUS = Device("cuda", "GPU 0 · imitated", GPUS)


class Runs:
    """A queue that an imitated cluster serves; runs are named by their seeds."""

    def __init__(self, store: Store, cluster: Elsewhere) -> None:
        self.queue, self.cluster = RunQueue(store, grace=0.0, wake=lambda: None), cluster

    def add(self, *seeds: int, **fields: object) -> None:
        for seed in seeds:
            self.queue.submit(pin(Recipe.build({"seed": seed, **fields})))
        self.drive()

    def drive(self) -> None:
        for _ in range(3):  # what one turn asks or starts, the next one uses
            self.queue.drive(self.cluster)  # type: ignore[arg-type]

    def end(self, seed: int) -> None:
        (job,) = [job for job in self.queue._jobs.values() if job.recipe.seed == seed]
        self.queue._forget(job.recipe.key)
        self.drive()

    @property
    def places(self) -> dict[int, str]:
        """The names of the workers that have the runs, by seed."""
        jobs = self.queue._jobs.values()
        return {job.recipe.seed: job.worker.removeprefix("tcp://") for job in jobs if job.task is not None}

    def message(self, seed: int) -> str:
        (job,) = [job for job in self.queue._jobs.values() if job.recipe.seed == seed]
        return self.queue.view(job.recipe.key).message


@pytest.fixture(autouse=True)
def _much_memory(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(dispatch, "host_free", lambda: 100 * 10**9)
    monkeypatch.delenv(VARIABLE, raising=False)


# Workers of this machine


def test_runs_use_every_gpu_each_pinned_to_its_own(store: Store) -> None:
    cluster = Here(ON_GPUS)
    runs = Runs(store, cluster)
    assert cluster.started == [FIRST]  # the others start when a run waits for them
    runs.add(0)
    assert cluster.started == [FIRST] and runs.places == {0: "1"}
    runs.add(1, 2, 3)
    assert runs.places == {0: "1", 1: "2", 2: "3"} and "in the queue" in runs.message(3)
    assert [dict(spec.environment) for spec in cluster.started[1:]] == [{CUDA: "1"}, {CUDA: "2"}]
    runs.end(1)
    assert runs.places == {0: "1", 2: "3", 3: "2"}


def test_a_run_on_the_cpu_keeps_no_gpu_busy(store: Store) -> None:
    cluster = Here(ON_GPUS)
    runs = Runs(store, cluster)
    runs.add(0, 1, device="cpu")
    runs.add(2)
    assert runs.places == {0: "4", 2: "1"}  # one at a time on the CPU
    assert (cluster.started[1].resources, cluster.started[1].environment) == ({CPU: 1}, {CUDA: ""})


def test_a_cpu_worker_that_does_not_start_leaves_its_runs_to_the_others(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    cluster = Here(ON_GPUS)
    monkeypatch.setattr(cluster, "start", lambda spec: None)
    runs = Runs(store, cluster)
    runs.add(0, device="cpu")
    assert runs.places == {}
    monkeypatch.setattr("engine.jobs.fleet.START", -START)
    runs.drive()
    assert runs.places == {0: "1"}


def test_a_run_does_not_wait_for_what_the_first_worker_says(store: Store) -> None:
    cluster = Here(None)
    runs = Runs(store, cluster)
    runs.add(0)
    runs.add(1, device="cpu")  # it could keep a GPU busy
    assert runs.places == {0: "1"} and cluster.started == [FIRST]


def test_two_small_runs_share_the_cores_if_many_wait(store: Store) -> None:
    cluster = Here(THREADS)
    runs = Runs(store, cluster)
    runs.add(*range(MANY))
    assert cluster.started == [FIRST] and runs.places == {0: "1"}
    runs.add(MANY, MANY + 1)
    assert runs.places == {0: "1", 1: "2"} and len(cluster.started) == 2
    assert cluster.started[1].environment == {}  # the same threads: others would change results
    for seed in range(MANY + 1):
        runs.end(seed)
    assert runs.places == {MANY + 1: "2"} or runs.places == {MANY + 1: "1"}


def test_a_run_that_uses_all_cores_has_them_to_itself(store: Store) -> None:
    def needs(fields: dict[str, Any]) -> Needs:
        return Needs(one_thread=fields["seed"] != 7, host=1)

    runs = Runs(store, Here(THREADS, needs))
    runs.add(*range(7), 7, 8)
    for seed in range(6):
        runs.end(seed)
    # Before it no other starts, and after it none next to it: in order, so that it does not wait forever.
    assert list(runs.places) == [6] and runs.message(7) == ALL_CORES
    runs.end(6)
    assert list(runs.places) == [7] and runs.message(8) == ALL_CORES
    runs.end(7)
    assert list(runs.places) == [8]


@pytest.mark.parametrize("first", [ON_GPUS, THREADS])
def test_runs_next_to_each_other_fit_into_memory_together(store: Store, first: Device) -> None:
    def needs(fields: dict[str, Any]) -> Needs:
        return Needs(one_thread=True, host=40 * 10**9)

    cluster = Here(first, needs)
    runs = Runs(store, cluster)
    runs.add(*range(8))
    assert list(runs.places) == [0, 1]
    runs.end(0)
    assert list(runs.places) == [1, 2]


def test_memory_that_other_programs_took_meanwhile_counts(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    cluster = Here(ON_GPUS, lambda fields: Needs(host=40 * 10**9))
    runs = Runs(store, cluster)
    runs.add(0)
    monkeypatch.setattr(dispatch, "host_free", lambda: 30 * 10**9)
    runs.add(1)
    assert runs.places == {0: "1"} and runs.message(1) == MEMORY
    runs.end(0)  # alone it starts: its worker reads the model block by block if it must
    assert list(runs.places) == [1]


def test_a_run_prefers_the_worker_that_has_its_model(store: Store) -> None:
    cluster = Here(ON_GPUS)
    runs = Runs(store, cluster)
    runs.add(0)
    runs.add(1, dtype="bfloat16")
    assert runs.places == {0: "1", 1: "2"}
    runs.end(0)
    runs.end(1)
    runs.add(2, dtype="bfloat16")
    runs.add(3)
    assert runs.places == {2: "2", 3: "1"}


def test_further_workers_end_when_nothing_has_run_for_a_while(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    cluster = Here(ON_GPUS)
    runs = Runs(store, cluster)
    runs.add(0, 1)
    monkeypatch.setattr("engine.jobs.fleet.REST", -1.0)
    runs.end(0)
    assert len(cluster.present) == 2  # one is computing
    runs.end(1)
    assert [one.name for one in cluster.present] == ["1"]
    runs.add(2, 3)
    assert runs.places == {2: "1", 3: "2"}


def test_small_runs_with_an_evaluation_compute_on_one_thread(
    small: RecipeMaker, monkeypatch: pytest.MonkeyPatch
) -> None:
    def needs(**fields: object) -> Needs:
        return worker.weigh("", small(**fields).model_dump(mode="json"))

    assert needs().one_thread and 10**8 < needs().host < 10**9
    assert not needs(
        evaluation=None
    ).one_thread  # alone it has all threads, which decide SparseGPT's last bits
    monkeypatch.setattr("engine.cost.footprint.SMALL", 1)
    assert not needs().one_thread


def test_a_worker_says_what_it_computes_on(monkeypatch: pytest.MonkeyPatch) -> None:
    assert worker.describe() == Device("cpu", "CPU, 1 thread")
    monkeypatch.setattr("engine.hardware.device.pick_device", lambda: torch.device("cuda"))
    monkeypatch.setattr("engine.hardware.gpus.gpu_labels", lambda: {"3": "GPU 3 · A", "4": "GPU 4 · B"})
    assert worker.describe() == Device("cuda", "GPU 3 · A", {"3": "GPU 3 · A", "4": "GPU 4 · B"})


# Which workers there may be


def test_the_user_limits_or_raises_the_number_of_workers() -> None:
    def names(first: Device, cores: int, wanted: int | None) -> list[tuple[set[str], dict[str, str]]]:
        return [
            (set(spec.resources), dict(spec.environment)) for spec in further_workers(first, cores, wanted)
        ]

    gpus = [({DEVICE}, {CUDA: "1"}), ({DEVICE}, {CUDA: "2"}), ({CPU}, {CUDA: ""})]
    assert names(ON_GPUS, 1, None) == names(ON_GPUS, 1, 9) == gpus
    assert names(ON_GPUS, 1, 2) == gpus[:1] and names(ON_GPUS, 1, 1) == []
    assert names(THREADS, 1, None) == [] and names(THREADS, 64, None) == [({DEVICE}, {})]
    assert len(names(THREADS, 2, 5)) == 4 and names(THREADS, 64, 1) == []
    assert names(Device("mps", "GPU (MPS)"), 8, None) == []


@pytest.mark.parametrize(("text", "wanted"), [("", None), ("3", 3), ("0", None), ("-1", None), ("two", None)])
def test_a_number_of_workers_that_cannot_be_read_counts_as_none(
    text: str, wanted: int | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(VARIABLE, text)
    assert workers_wanted() == wanted


# Existing clusters


def test_on_an_existing_cluster_runs_avoid_workers_that_compute_for_others(store: Store) -> None:
    cluster = Elsewhere([gpu_worker(name) for name in "abc"])
    cluster.others = {"tcp://a": ["compute-17"], "tcp://b": ["read_text-1"]}
    runs = Runs(store, cluster)
    runs.add(0)
    assert runs.places == {0: "b"}
    runs.add(1, 2, 3)
    # No more than there are workers; Dask decides where one goes for which none is idle.
    assert runs.places == {0: "b", 1: "c", 2: ""}


# Sweeps on the command line


@pytest.mark.parametrize(
    ("gpus", "wanted", "here"),
    [(1, "", True), (0, "", True), (3, "", False), (3, "1", True), (0, "2", False)],
)
def test_a_sweep_uses_every_gpu_of_this_machine(
    gpus: int, wanted: str, here: bool, store: Store, corpus: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PRUNESCOPE_HOME", str(store.home))
    monkeypatch.setenv(VARIABLE, wanted)
    monkeypatch.setattr("engine.hardware.gpus.visible_gpus", lambda: tuple(map(str, range(gpus))))
    monkeypatch.setattr("engine.cli.sweep.require_fit", lambda recipe: None)
    used = []

    def compute(
        recipes: Sequence[Recipe], scheduler: str | None, *_: object, **__: object
    ) -> Iterator[RunRecord]:
        used.append(scheduler or "workers")
        for recipe in recipes:
            yield RunRecord(key=recipe.key, recipe=recipe, state="finished")

    def execute(recipe: Recipe, *_: object, **__: object) -> RunRecord:
        used.append("this process")
        return RunRecord(key=recipe.key, recipe=recipe, state="finished")

    monkeypatch.setattr("engine.jobs.batch.compute", compute)
    monkeypatch.setattr("engine.jobs.execute.execute", execute)
    assert main(["sweep", "--pruners", "wanda", "--sparsities", "0.5", "--evaluation", str(corpus)]) == 0
    assert used == ["this process" if here else "workers"]
