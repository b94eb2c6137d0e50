"""Checkpoints come back whole, or what stood there before stays."""

import resource

import pytest
import torch

from aegle.domain.errors import FileError
from aegle.learning.checkpoint import Checkpoint, prefixed, read, write


def checkpoint(value, size=4):
    tensors = {"weight": torch.full((size, size), float(value)), "steps": torch.tensor(value)}
    return Checkpoint(tensors=prefixed("network", tensors), facts={"epoch": value})


@pytest.fixture
def little_room():
    """Let no file of this process grow beyond 20 kB."""
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (20_000, before[1]))
    yield
    resource.setrlimit(resource.RLIMIT_FSIZE, before)


def test_what_is_written_is_read(tmp_path):
    path = tmp_path / "new folder" / "checkpoint.safetensors"
    write(checkpoint(3), path)

    found = read(path)

    assert found.facts == {"epoch": 3}
    assert torch.equal(found.part("network")["weight"], torch.full((4, 4), 3.0))
    assert found.part("network")["steps"].dtype == torch.int64
    assert found.part("net") == {}
    assert [entry.name for entry in path.parent.iterdir()] == ["checkpoint.safetensors"]


def test_tensors_in_another_order_in_memory_come_back_equal(tmp_path):
    weight = torch.rand(2, 3, 4, 5).contiguous(memory_format=torch.channels_last)
    write(Checkpoint(tensors={"weight": weight}, facts={}), tmp_path / "c")

    assert torch.equal(read(tmp_path / "c").tensors["weight"], weight)


def test_a_full_disk_leaves_the_last_good_checkpoint(tmp_path, little_room):
    path = tmp_path / "checkpoint.safetensors"
    write(checkpoint(1), path)

    with pytest.raises(FileError, match=r"cannot be written .* what was saved before is kept"):
        write(checkpoint(2, size=100), path)

    assert read(path).facts == {"epoch": 1}
    assert [entry.name for entry in tmp_path.iterdir()] == ["checkpoint.safetensors"]


def test_a_writer_killed_half_way_is_cleared_by_the_next(tmp_path):
    (tmp_path / ".checkpoint.safetensors.part").write_bytes(b"half")

    write(checkpoint(1), tmp_path / "checkpoint.safetensors")

    assert [entry.name for entry in tmp_path.iterdir()] == ["checkpoint.safetensors"]


@pytest.mark.parametrize("share", [0.0, 0.3, 0.99])
def test_a_cut_off_file_is_named(tmp_path, share):
    path = tmp_path / "checkpoint.safetensors"
    write(checkpoint(1, size=50), path)
    content = path.read_bytes()
    path.write_bytes(content[: int(share * len(content))])

    with pytest.raises(FileError, match=r"checkpoint\.safetensors: is no whole checkpoint"):
        read(path)


def test_a_file_of_other_weights_is_no_checkpoint(tmp_path):
    from safetensors.torch import save_file

    save_file({"weight": torch.zeros(2)}, tmp_path / "other")

    with pytest.raises(FileError, match="no whole checkpoint"):
        read(tmp_path / "other")
