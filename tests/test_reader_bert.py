"""The encoder for inference against transformers' own, in every precision and layout."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from numpy.typing import NDArray

from reader import bert
from reader import checkpoint as checkpoints
from reader.bert import Packed, pack, shape_of
from reader.errors import CheckpointError, DeviceError, ReaderError
from reader.features import Window, pad
from reader.linear import Precision, _int8, _levels, choose_precision, has_int8, linear
from reader.network import Network
from tests.reader_models import checkpoint

CPU = torch.device("cpu")


def some_windows(lengths: Sequence[int]) -> list[Window]:
    """Windows of random pieces: 4 of question and context, and a separator behind the passage."""
    generator = np.random.default_rng(3)
    found = []
    for number, length in enumerate(lengths):
        ids = tuple(int(piece) for piece in generator.integers(5, 60, size=length))
        offsets = tuple((place, place + 1) for place in range(length - 5))
        found.append(Window(number, ids, second=3, first=4, offsets=offsets))
    return found


def theirs(folder: Path, batch: Sequence[Window]) -> tuple[NDArray[Any], NDArray[Any]]:
    model: Any = checkpoints.load(folder, device=CPU).model
    arrays = pad(batch, 0)
    with torch.inference_mode():
        output = model(
            input_ids=torch.from_numpy(arrays.input_ids),
            token_type_ids=torch.from_numpy(arrays.token_type_ids),
            attention_mask=torch.from_numpy(arrays.attention_mask),
        )
    return output.start_logits.numpy(), output.end_logits.numpy()


def assert_alike(
    ours: tuple[NDArray[Any], NDArray[Any]],
    other: tuple[NDArray[Any], NDArray[Any]],
    batch: Sequence[Window],
    tolerance: float,
) -> None:
    """Equal at ``[CLS]`` and in the passage; zero elsewhere."""
    for mine, their in zip(ours, other, strict=True):
        wanted = np.zeros(mine.shape, dtype=bool)
        for row, window in enumerate(batch):
            wanted[row, 0] = True
            wanted[row, window.first : window.first + len(window.offsets)] = True
        np.testing.assert_allclose(mine[wanted], their[wanted], atol=tolerance)
        assert (mine[~wanted] == 0).all()


@pytest.mark.parametrize("layout", ["full", "spanbert"])
def test_logits_are_those_of_transformers(tmp_path: Path, layout: str) -> None:
    folder = checkpoint(tmp_path / "m", layout=layout)
    batch = some_windows([40, 9, 128, 33, 6])
    ours = Network.of(checkpoints.read(folder), CPU)(batch)
    assert_alike(ours, theirs(folder, batch), batch, 1e-5)


def test_a_gpus_way_of_attention_gives_the_same(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = checkpoint(tmp_path / "m")
    monkeypatch.setattr(bert, "_each", bert._padded)
    for lengths in ([40, 9, 128, 33, 6], [20, 20]):
        batch = some_windows(lengths)
        ours = Network.of(checkpoints.read(folder), CPU)(batch)
        assert_alike(ours, theirs(folder, batch), batch, 1e-5)


@pytest.mark.parametrize("precision", ["int8", "bf16"])
def test_lower_precisions_are_near(tmp_path: Path, precision: str) -> None:
    if precision == "int8" and not has_int8():
        pytest.skip("this CPU has no int8")
    folder = checkpoint(tmp_path / "m")
    batch = some_windows([40, 9, 128])
    stored = checkpoints.read(folder)
    exact = Network.of(stored, CPU)(batch)
    near = Network.of(stored, CPU, choose_precision(precision, CPU))(batch)
    spread = np.concatenate([side[side != 0] for side in exact]).std()
    assert_alike(near, exact, batch, 0.25 * spread)
    assert not np.array_equal(near[0], exact[0])


@pytest.mark.skipif(not has_int8(), reason="this CPU has no int8")
def test_int8_gives_a_window_the_same_whatever_it_is_read_with(tmp_path: Path) -> None:
    network = Network.of(checkpoints.read(checkpoint(tmp_path / "m")), CPU, "int8")
    batch = some_windows([40, 9, 128, 33])
    together = network(batch)
    for row, window in enumerate(batch):
        for one, all_of_them in zip(network([window]), together, strict=True):
            np.testing.assert_allclose(one[0], all_of_them[row, : len(window)], atol=1e-4)


@pytest.mark.skipif(not has_int8(), reason="this CPU has no int8")
def test_a_row_of_int8_has_a_scale_of_its_own() -> None:
    generator = torch.Generator().manual_seed(0)
    weight = torch.randn(16, 64, generator=generator)
    bias = torch.randn(16, generator=generator)
    rows = torch.randn(5, 64, generator=generator)
    rows[1] *= 1e4
    rows[2] = 0
    rows[3, 5] = float("nan")
    found = linear(weight, bias, "int8")(rows)
    exact = linear(weight, bias, "fp32")(rows)
    for row in (0, 1, 4):
        error = (found[row] - exact[row]).abs().max() / exact[row].abs().max()
        assert error < 0.05
    assert torch.equal(found[2], bias)
    assert found[3].isnan().all()


@pytest.mark.skipif(not has_int8(), reason="this CPU has no int8")
@pytest.mark.parametrize("levels", {127, _levels()} if has_int8() else [])
def test_a_lopsided_row_of_int8_keeps_its_precision(levels: int) -> None:
    generator = torch.Generator().manual_seed(0)
    weight = torch.randn(16, 64, generator=generator)
    bias = torch.randn(16, generator=generator)
    rows = torch.rand(4, 64, generator=generator)
    rows[1] += 30
    rows[2] -= 30
    rows[3] = 30
    found = _int8(weight, bias, levels=levels)(rows)
    # The weights are rounded too: what the inputs' rounding costs is left when theirs is taken off.
    scales = weight.abs().amax(dim=1, keepdim=True) / 127
    exact = rows @ ((weight / scales).round() * scales).T + bias
    half_a_step = 0.5 / levels * torch.ones(4, 1)
    half_a_step[3] = 0
    bound = half_a_step * weight.abs().sum(dim=1) + 1e-3
    assert ((found - exact).abs() <= bound).all()


@pytest.mark.skipif(not has_int8(), reason="this CPU has no int8")
def test_the_largest_products_do_not_overflow() -> None:
    weight = torch.ones(3, 3072)
    rows = torch.ones(2, 3072)
    rows[:, 0] = 0
    found = linear(weight, torch.zeros(3), "int8")(rows)
    assert torch.allclose(found, torch.full((2, 3), 3071.0), rtol=1e-5)


def test_what_a_cpu_computes_at_once_is_bounded(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("reader.network._CPU_PIECES", 50)
    folder = checkpoint(tmp_path / "m")
    network = Network.of(checkpoints.read(folder), CPU)
    batch = some_windows([40, 9, 128, 33, 6, 6])
    sizes = recorded(network, monkeypatch)
    ours = network(batch)
    assert sizes == [2, 1, 3]
    assert_alike(ours, theirs(folder, batch), batch, 1e-5)


def test_running_out_of_memory_halves_the_batch(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = checkpoint(tmp_path / "m")
    network = Network.of(checkpoints.read(folder), CPU)
    batch = some_windows([40, 9, 128, 33, 6])
    sizes = recorded(network, monkeypatch, most=2)
    ours = network(batch)
    assert sizes == [5, 2, 3, 1, 2]
    assert_alike(ours, theirs(folder, batch), batch, 1e-5)
    recorded(network, monkeypatch, most=0)
    with pytest.raises(ReaderError, match="cpu has no memory left for a window of 40 pieces"):
        network(batch[:1])


def test_memory_that_turns_out_short_when_logits_are_fetched_halves_the_batch(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = checkpoint(tmp_path / "m")
    network = Network.of(checkpoints.read(folder), CPU)
    batch = some_windows([40, 9, 128, 33, 6])
    sizes = recorded(network, monkeypatch)
    short = [True, True, False, False, False]  # of the five, and of their first two

    def late(found: torch.Tensor) -> Callable[[], NDArray[np.float32]]:
        def wait() -> NDArray[np.float32]:
            if short and short.pop(0):
                raise torch.OutOfMemoryError("CUDA out of memory")
            return found.numpy()

        return wait

    monkeypatch.setattr("reader.network.fetched", late)
    ours = network(batch)
    assert sizes == [5, 2, 3, 1, 1]
    assert_alike(ours, theirs(folder, batch), batch, 1e-5)
    short[:] = [True]
    with pytest.raises(ReaderError, match="cpu has no memory left for a window of 40 pieces"):
        network(batch[:1])


def test_a_cpu_computes_what_is_launched_when_it_is_fetched(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    network = Network.of(checkpoints.read(checkpoint(tmp_path / "m")), CPU)
    batch = some_windows([40, 9])
    at_once = network(batch)
    sizes = recorded(network, monkeypatch)
    fetch = network.launch(batch)
    assert sizes == []
    for one, other in zip(fetch(), at_once, strict=True):
        np.testing.assert_array_equal(one, other)
    assert sizes == [2]


@pytest.mark.parametrize("precision", ["fp32", "bf16"])
@pytest.mark.parametrize("lengths", [[40, 9, 128, 33, 6], [20, 20]])
def test_launching_asks_a_device_for_no_value(
    tmp_path: Path, precision: Precision, lengths: list[int]
) -> None:
    """A GPU would have to be waited for. What lies on torch's device "meta" has no values."""
    stored = checkpoints.read(checkpoint(tmp_path / "m"))
    fetch = Network.of(stored, torch.device("meta"), precision).launch(some_windows(lengths))
    with pytest.raises(TypeError, match="meta"):
        fetch()


@pytest.mark.skipif(not torch.cuda.is_available(), reason="there is no GPU here")
def test_a_gpu_is_not_waited_for_before_its_logits_are_fetched(tmp_path: Path) -> None:
    folder = checkpoint(tmp_path / "m")
    network = Network.of(checkpoints.read(folder), torch.device("cuda"))
    batches = [some_windows(lengths) for lengths in ([40, 9, 128, 33, 6], [20, 20], [64, 7])]
    network(batches[0])  # what is made once may be waited for
    torch.cuda.set_sync_debug_mode("error")
    try:
        launched = [network.launch(batch) for batch in batches]
    finally:
        torch.cuda.set_sync_debug_mode("default")
    for fetch, batch in zip(launched, batches, strict=True):
        assert_alike(fetch(), theirs(folder, batch), batch, 1e-3)


def recorded(network: Network, monkeypatch: pytest.MonkeyPatch, most: int = 99) -> list[int]:
    """How many texts each forward had; more than ``most`` run out of memory."""
    inner = network._bert
    sizes: list[int] = []

    def forward(packed: Packed, wanted: torch.Tensor) -> torch.Tensor:
        sizes.append(len(packed.lengths))
        if len(packed.lengths) > most:
            raise torch.OutOfMemoryError("CUDA out of memory")
        return inner(packed, wanted)

    monkeypatch.setattr(network, "_bert", forward)
    return sizes


def test_packing() -> None:
    packed = pack([[7, 8, 9], [5, 6]], [1, 2], CPU)
    assert packed.ids.tolist() == [7, 8, 9, 5, 6]
    assert packed.types.tolist() == [0, 1, 1, 0, 0]
    assert packed.positions.tolist() == [0, 1, 2, 0, 1]
    assert packed.lengths == (3, 2)
    assert {packed.ids.dtype, packed.types.dtype, packed.positions.dtype} == {torch.int64}
    assert pack([[7], [8, 9]], [1, 2], CPU, [(), (1,)]).types.tolist() == [0, 0, 2]


def test_precisions() -> None:
    assert choose_precision("fp32", CPU) == "fp32"
    assert choose_precision("auto", CPU) == ("int8" if has_int8() else "fp32")
    assert choose_precision("auto", torch.device("cuda")) == "bf16"
    with pytest.raises(DeviceError, match='unknown precision "fp8"; use auto, fp32, int8, bf16'):
        choose_precision("fp8", CPU)
    with pytest.raises(DeviceError, match="int8 was asked for, but cuda"):
        choose_precision("int8", torch.device("cuda"))
    assert choose_precision("auto", torch.device("mps")) == "fp32"


def test_a_cpu_without_vector_instructions_computes_in_fp32() -> None:
    code = (
        "import torch\n"
        "from reader.errors import DeviceError\n"
        "from reader.linear import choose_precision\n"
        "cpu = torch.device('cpu')\n"
        "print(choose_precision('auto', cpu), choose_precision('fp32', cpu))\n"
        "try:\n"
        "    choose_precision('int8', cpu)\n"
        "except DeviceError as error:\n"
        "    print(error)\n"
    )
    # So torch takes the machine for one without them.
    done = subprocess.run(
        [sys.executable, "-c", code],
        env={**os.environ, "ATEN_CPU_CAPABILITY": "default"},
        capture_output=True,
        text=True,
        check=True,
    )
    assert done.stdout.splitlines() == [
        "fp32 fp32",
        "int8 was asked for, but cpu cannot compute in it here; use auto",
    ]


def test_configurations_that_no_bert_has() -> None:
    assert shape_of({}).layers == 12
    for config, message in (
        ({"hidden_act": "sine"}, 'hidden_act is "sine"'),
        ({"num_attention_heads": 5}, "does not part into 5 heads"),
        ({"position_embedding_type": "relative_key"}, "relative_key"),
        ({"hidden_size": "wide"}, "wide"),
    ):
        with pytest.raises(ValueError, match=message):
            shape_of(config)


def test_older_names_of_weights_are_understood(tmp_path: Path) -> None:
    folder = checkpoint(tmp_path / "m", layout="spanbert")
    before = checkpoints.read(folder).weights
    file = folder / "pytorch_model.bin"
    state = torch.load(file, weights_only=True)
    renamed = {
        name.replace("LayerNorm.weight", "LayerNorm.gamma").replace(
            "LayerNorm.bias", "LayerNorm.beta"
        ): value
        for name, value in state.items()
    }
    assert renamed.keys() != state.keys()
    torch.save(renamed, file)
    after = checkpoints.read(folder).weights
    assert after.keys() == before.keys()
    assert all(torch.equal(after[name], before[name]) for name in before)
    torch.save({k: v for k, v in state.items() if "layer.1.output.dense" not in k}, file)
    with pytest.raises(CheckpointError, match=r"lacks weights .*layer\.1\.output\.dense"):
        checkpoints.read(folder)


def test_reading_needs_no_transformers(tmp_path: Path) -> None:
    """It takes seconds to import."""
    folder = checkpoint(tmp_path / "m")
    code = (
        "import sys\n"
        "from reader.reader import Passage, load_reader\n"
        f"reader = load_reader({str(folder)!r}, device='cpu')\n"
        "assert reader.read('who?', [Passage('a', 0, 'the vpn token')])\n"
        "print('transformers' in sys.modules)\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "False"
