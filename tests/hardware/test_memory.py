"""Free memory and disk space: the system's figures, and the limits of control groups."""

from __future__ import annotations

from pathlib import Path

from engine.hardware.memory import disk_free, host_free, measure_capacity

GIGA = 2**30


def machine(root, files):
    for name, text in {
        "proc/meminfo": f"MemTotal: 99 kB\nMemAvailable:   {20 * GIGA // 1024} kB\n",
        **files,
    }.items():
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_text(text)
    return root


def test_without_limits_the_systems_free_memory_counts(tmp_path):
    assert host_free(machine(tmp_path, {})) == 20 * GIGA


def test_a_container_has_less_than_the_machine_says(tmp_path):
    files = {
        "proc/self/cgroup": "0::/\n",
        "sys/fs/cgroup/memory.max": f"{8 * GIGA}\n",
        "sys/fs/cgroup/memory.current": f"{5 * GIGA}\n",
        "sys/fs/cgroup/memory.stat": f"anon 7\ninactive_file {2 * GIGA}\n",
    }
    assert host_free(machine(tmp_path, files)) == 5 * GIGA, "files that are merely kept read can go"


def test_the_tightest_enclosing_group_counts(tmp_path):
    files = {
        "proc/self/cgroup": "0::/user/app\n",
        "sys/fs/cgroup/user/app/memory.max": "max\n",
        "sys/fs/cgroup/user/app/memory.current": "5\n",
        "sys/fs/cgroup/user/memory.max": f"{3 * GIGA}\n",
        "sys/fs/cgroup/user/memory.current": f"{GIGA}\n",
    }
    assert host_free(machine(tmp_path, files)) == 2 * GIGA


def test_version_one_of_the_groups(tmp_path):
    files = {
        "proc/self/cgroup": "9:name=systemd:/x\n4:cpu,memory:/docker/1\n",
        "sys/fs/cgroup/memory/memory.limit_in_bytes": f"{4 * GIGA}\n",
        "sys/fs/cgroup/memory/memory.usage_in_bytes": f"{GIGA}\n",
    }
    assert host_free(machine(tmp_path, files)) == 3 * GIGA


def test_a_group_beyond_its_limit_leaves_nothing(tmp_path):
    files = {
        "proc/self/cgroup": "0::/\n",
        "sys/fs/cgroup/memory.max": "5\n",
        "sys/fs/cgroup/memory.current": "7\n",
    }
    assert host_free(machine(tmp_path, files)) == 0


def test_without_proc_the_result_is_positive_or_unknown(tmp_path):
    assert (free := host_free(tmp_path)) is None or free > 0


def test_a_missing_directory_is_on_its_parents_disk(tmp_path):
    assert abs(disk_free(tmp_path / "not" / "yet") - disk_free(tmp_path)) < GIGA


def test_a_measurement_of_this_machine(tmp_path):
    found = measure_capacity("cpu", tmp_path, Path(tmp_path) / "runs")
    assert found.device == "cpu" and found.device_free is None
    assert found.disk_free > 0 and found.store_free > 0
