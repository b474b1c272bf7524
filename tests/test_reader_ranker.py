from __future__ import annotations

import re
from pathlib import Path

import numpy as np
import pytest
import torch
from transformers import BertModel

from reader import checkpoint as checkpoints
from reader.bert import Bert, Packed
from reader.digests import digest_of_digests, digest_of_settings_files, digest_of_weights_file
from reader.errors import CheckpointError, ReaderError
from reader.ranker import EMBEDDED, Ranker, load_ranker, store
from reader.tokenization import PieceTokenizer
from tests.reader_models import checkpoint

TEXTS = ["the vpn token", "how many hours is the code valid for", "ask who", ""]


@pytest.fixture
def source(tmp_path: Path) -> Path:
    return checkpoint(tmp_path / "source", head=False)


def test_what_is_stored_in_8_bits_encodes_almost_as_before(source: Path, tmp_path: Path) -> None:
    store(source, tmp_path / "stored", name="tiny")
    stored = load_ranker(tmp_path / "stored", device="cpu")
    tokens = PieceTokenizer.from_folder(source)
    read = checkpoints.read(source, head_required=False)
    weights = {name.removeprefix("bert."): value for name, value in read.weights.items()}
    model = Bert(read.shape, weights, device=torch.device("cpu"))
    whole = Ranker(model, tokens, name="whole")
    ours, theirs = stored.encode(TEXTS), whole.encode(TEXTS)
    assert ours.shape == (4, 32)
    np.testing.assert_allclose(np.linalg.norm(ours, axis=1), 1.0, atol=1e-5)
    assert ((ours * theirs).sum(axis=1) > 0.999).all()
    assert re.fullmatch(r"tiny-[0-9a-f]{12}", stored.name)
    sizes = [
        (folder / "model.safetensors").stat().st_size for folder in (source, tmp_path / "stored")
    ]
    assert sizes[1] < 0.4 * sizes[0]


def test_the_embedded_rankers_name_changes_with_it() -> None:
    files = digest_of_digests(
        [digest_of_weights_file(EMBEDDED), digest_of_settings_files(EMBEDDED)]
    )
    # Another digest needs another name too: stored vectors are known by the name.
    assert (load_ranker(device="cpu").name, files[:12]) == ("spanbot-ranker-1", "f16892920a95")


def test_a_ranker_of_other_files_has_another_name(source: Path, tmp_path: Path) -> None:
    store(source, tmp_path / "stored", name="tiny")
    store(source, tmp_path / "again", name="tiny")
    names, vectors = [], []

    def look(folder: Path) -> None:
        ranker = load_ranker(folder, device="cpu")
        names.append(ranker.name)
        vectors.append(ranker.encode(["The VPN token"]).tobytes())

    look(tmp_path / "stored")
    look(tmp_path / "again")
    assert len(set(names)) == len(set(vectors)) == 1
    for name, old, new in (
        ("tokenizer.json", '"lowercase": true', '"lowercase": false'),
        ("config.json", '"layer_norm_eps": 1e-12', '"layer_norm_eps": 0.1'),
    ):
        path = tmp_path / "stored" / name
        assert old in path.read_text()
        path.write_text(path.read_text().replace(old, new))
        look(tmp_path / "stored")
    assert len(set(names)) == len(set(vectors)) == 3


def test_a_text_gets_the_same_vector_alone_and_among_others(source: Path, tmp_path: Path) -> None:
    store(source, tmp_path / "stored", name="tiny")
    ranker = load_ranker(tmp_path / "stored", device="cpu")
    counted: list[int] = []
    many = [*TEXTS, "a very long text " * 400]
    together = ranker.encode(many[:4], progress=counted.append)
    for text, vector in zip(many, together, strict=False):
        np.testing.assert_allclose(ranker.encode([text])[0], vector, atol=1e-5)
    assert sum(counted) == 4
    assert ranker.encode([]).shape == (0, 32)


def test_a_long_text_is_cut(source: Path, tmp_path: Path) -> None:
    store(source, tmp_path / "stored", name="tiny")
    loaded = load_ranker(tmp_path / "stored", device="cpu")
    long = "ask who " * 500
    np.testing.assert_allclose(
        loaded.encode([long]), loaded.encode([long + "the vpn token"]), atol=1e-6
    )


def test_what_is_no_ranker_is_refused(source: Path, tmp_path: Path) -> None:
    with pytest.raises(CheckpointError, match="cannot be loaded"):
        load_ranker(tmp_path / "nowhere", device="cpu")
    with pytest.raises(CheckpointError, match="there is no model folder"):
        store(tmp_path / "nowhere", tmp_path / "target", name="x")
    store(source, tmp_path / "stored", name="tiny")
    for folder in (tmp_path / "stored", source):
        weights = folder / "model.safetensors"
        weights.write_bytes(weights.read_bytes()[:500])
    cut = r"model\.safetensors is cut off or damaged \(500 bytes\); copy or download it again"
    with pytest.raises(CheckpointError, match=rf"^{tmp_path}/stored/{cut}"):
        load_ranker(tmp_path / "stored", device="cpu")
    with pytest.raises(CheckpointError, match=rf"^{source}/{cut}"):
        store(source, tmp_path / "target", name="x")


def test_vectors_that_are_not_numbers_are_refused(source: Path, tmp_path: Path) -> None:
    loaded = checkpoints.load(source, device=torch.device("cpu"), head_required=False)
    with torch.no_grad():
        loaded.model.bert.embeddings.position_embeddings.weight[:] = float("nan")
    checkpoints.save(loaded, tmp_path / "damaged")
    store(tmp_path / "damaged", tmp_path / "stored", name="tiny")
    ranker = load_ranker(tmp_path / "stored", device="cpu")
    with pytest.raises(ReaderError, match=f"the ranker {ranker.name} gave vectors that are not"):
        ranker.encode(TEXTS)


def test_running_out_of_memory_halves_the_batch(
    source: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    store(source, tmp_path / "stored", name="tiny")
    ranker = load_ranker(tmp_path / "stored", device="cpu")
    whole = ranker.encode(TEXTS)
    inner, sizes, most = ranker._model, [], 1

    class Short:
        """A network on a device with room for ``most`` texts."""

        device = inner.device

        def __call__(self, packed: Packed) -> torch.Tensor:
            sizes.append(len(packed.lengths))
            if len(packed.lengths) > most:
                raise torch.OutOfMemoryError("CUDA out of memory")
            return inner(packed)

    monkeypatch.setattr(ranker, "_model", Short())
    np.testing.assert_allclose(ranker.encode(TEXTS), whole, atol=1e-5)
    assert sizes == [4, 2, 1, 1, 2, 1, 1]
    most = 0
    with pytest.raises(ReaderError, match="cpu has no memory left for a text of 3 pieces"):
        ranker.encode(TEXTS[:1])


def test_the_tokenizer_of_another_network_is_refused(source: Path, tmp_path: Path) -> None:
    stored = tmp_path / "stored"
    store(source, stored, name="tiny")
    for file in EMBEDDED.glob("tokenizer*"):
        (stored / file.name).write_bytes(file.read_bytes())
    with pytest.raises(CheckpointError, match=f"{stored}: the tokenizer has 30522 pieces, the net"):
        load_ranker(stored, device="cpu")


def test_the_embedded_ranker_knows_what_is_meant() -> None:
    vectors = load_ranker(device="cpu").encode(
        [
            "how long is the guarantee",
            "The warranty lasts five years from the date of delivery.",
            "Lunch is served at noon.",
        ]
    )
    assert vectors[0] @ vectors[1] > vectors[0] @ vectors[2] + 0.2


def test_vectors_are_those_of_transformers_mean_over_pieces(source: Path, tmp_path: Path) -> None:
    store(source, tmp_path / "stored", name="tiny")
    loaded = load_ranker(tmp_path / "stored", device="cpu")
    model = BertModel.from_pretrained(source, add_pooling_layer=False)
    model.train(False)
    tokens = PieceTokenizer.from_folder(source)
    ids = torch.tensor([[tokens.cls_id, *tokens.pieces(TEXTS[1]).ids, tokens.sep_id]])
    with torch.inference_mode():
        mean = model(input_ids=ids).last_hidden_state[0].mean(0).numpy()
    (ours,) = loaded.encode(TEXTS[1:2])
    assert ours @ mean / np.linalg.norm(mean) > 0.999
