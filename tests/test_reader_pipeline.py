"""The pipeline call against what transformers 4.57.6 answered, and its own promises."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import torch

from bench import pipeline_replay
from bench.pipeline_replay import largest_difference
from bench.record_pipeline import CASES
from reader import checkpoint as checkpoints
from reader.errors import CheckpointError, ReaderError
from reader.pipeline import QuestionAnsweringPipeline, pipeline
from tests.pipeline_models import POSITIONS, seeded_checkpoint
from tests.reader_models import checkpoint

RECORD = json.loads(CASES.read_text(encoding="utf-8"))
TEXT = "The code is valid for 12 hours. Ask Lena Holm about 90 days."


@pytest.fixture(scope="module")
def folders(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    place = tmp_path_factory.mktemp("models")
    return {
        "embedded": checkpoints.EMBEDDED,
        "cased": seeded_checkpoint(place / "cased", cased=True, seed=0),
        "uncased": seeded_checkpoint(place / "uncased", cased=False, seed=1),
    }


@pytest.fixture(scope="module")
def loaded(folders: dict[str, Path]) -> dict[str, checkpoints.Checkpoint]:
    torch.set_num_threads(1)
    return {
        name: checkpoints.load(folder, device=torch.device("cpu"))
        for name, folder in folders.items()
    }


@pytest.fixture(scope="module")
def embedded(loaded: dict[str, checkpoints.Checkpoint]) -> QuestionAnsweringPipeline:
    return pipeline("question-answering", model=loaded["embedded"], device=-1)


@pytest.fixture(scope="module")
def small(loaded: dict[str, checkpoints.Checkpoint]) -> QuestionAnsweringPipeline:
    return pipeline("question-answering", model=loaded["uncased"], device=-1)


def test_the_record_is_large_and_of_the_version_that_is_named() -> None:
    assert RECORD["versions"]["transformers"] == "4.57.6"
    assert sum("result" in case for case in RECORD["cases"]) >= 100
    assert CASES.stat().st_size < 400_000


@pytest.fixture(scope="module")
def replayed(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    out = tmp_path_factory.mktemp("replay") / "found.json"
    pipeline_replay.main(["--out", str(out)])
    found: dict[str, Any] = json.loads(out.read_text(encoding="utf-8"))
    return found


@pytest.mark.parametrize("model", ["embedded", "cased", "uncased"])
def test_every_recorded_call_gives_what_transformers_gave(
    model: str, replayed: dict[str, Any]
) -> None:
    cases = [case for case in RECORD["cases"] if case["model"] == model]
    found = replayed["models"][model]
    assert found["different"] == []
    assert found["results"] == sum("result" in case for case in cases) > 0
    assert found["errors"] + len(found["mended"]) == sum("error" in case for case in cases)
    # A question as an object, alone and not in a list, was refused.
    assert all([*case["args"][0]] == ["$example"] for case in found["mended"])
    assert len(found["mended"]) == (model != "cased")
    assert found["largest_difference"] <= 1e-6


def test_the_figures_of_a_replay_are_those_of_all_models(replayed: dict[str, Any]) -> None:
    models = replayed["models"].values()
    assert replayed["cases"] == len(RECORD["cases"])
    assert replayed["results_equal"] == replayed["results"] >= 100
    assert replayed["errors_equal"] + replayed["errors_mended"] == replayed["errors"]
    assert replayed["largest_difference"] == max(one["largest_difference"] for one in models)
    assert replayed["recorded_with"]["transformers"] == "4.57.6"


def test_a_replay_tells_what_differs(folders: dict[str, Path]) -> None:
    """Results that another model gave, and an error in the place of an answer."""
    calls = [case for case in RECORD["cases"] if case["model"] == "cased" and "result" in case][:3]
    raised = {**calls[0], "error": "ValueError"}
    del raised["result"]
    wrong = {**raised, "args": [5], "error": "KeyError"}
    known = [calls[1], raised, wrong, {**wrong, "error": "ValueError"}]
    known += [{**calls[2], "result": "other"}, {**wrong, "result": calls[2]["result"]}]
    del known[-1]["error"]
    found = pipeline_replay.replay({**RECORD, "cases": known}, {"cased": folders["cased"]})["cased"]
    assert (found["results"], found["errors"], found["mended"]) == (1, 1, [raised])
    assert found["different"] == [wrong, *known[4:]]


# Where a pipeline comes from


def test_the_call_of_a_model_card(folders: dict[str, Path]) -> None:
    folder = str(folders["cased"])
    qa = pipeline("question-answering", model=folder, tokenizer=folder, device="cpu")
    with pytest.warns(FutureWarning, match="positional"):
        answer = qa({"context": TEXT, "question": "How long?"})
    assert answer == qa(question="How long?", context=TEXT)
    assert TEXT[answer["start"] : answer["end"]] == answer["answer"]  # type: ignore[index, call-overload]
    assert (qa.task, qa.device) == ("question-answering", torch.device("cpu"))


def test_loaded_models_of_transformers_are_taken(
    folders: dict[str, Path], loaded: dict[str, checkpoints.Checkpoint]
) -> None:
    from transformers import AutoTokenizer, BertForQuestionAnswering

    folder = folders["uncased"]
    tokenizer: Any = AutoTokenizer.from_pretrained(folder)
    model = BertForQuestionAnswering.from_pretrained(folder)
    qa = pipeline(model=model, tokenizer=tokenizer, device=-1)
    same = pipeline(model=loaded["uncased"], tokenizer=folder, device=torch.device("cpu"))
    asked = {"question": "who?", "context": TEXT * 3, "top_k": 3}
    assert largest_difference(qa(**asked), same(**asked)) <= 1e-6
    with pytest.raises(ValueError, match="needs its tokenizer"):
        pipeline(model=model)
    with pytest.raises(ValueError, match="model is int"):
        pipeline(model=5, device=-1)
    with pytest.raises(ValueError, match="tokenizer is int"):
        pipeline(model=model, tokenizer=5, device=-1)


def test_what_cannot_be_had_is_refused(tmp_path: Path, folders: dict[str, Path]) -> None:
    folder = folders["uncased"]
    with pytest.raises(KeyError, match="Unknown task fill-mask"):
        pipeline("fill-mask", model=folder)
    with pytest.raises(RuntimeError, match="name a model"):
        pipeline()
    with pytest.raises(ValueError, match="framework='tf' is not supported"):
        pipeline("question-answering", model=folder, framework="tf")
    with pytest.raises(ValueError, match="dtype='float16'"):
        pipeline("question-answering", model=folder, torch_dtype="float16")
    with pytest.raises(ValueError, match="top_k parameter"):
        pipeline("question-answering", model=folder, device=-1, top_k=0)
    with pytest.raises(CheckpointError, match="no question-answering head"):
        pipeline(model=checkpoint(tmp_path / "headless", head=False), device=-1)


def test_the_tokenizer_of_another_model_is_refused(
    folders: dict[str, Path], loaded: dict[str, checkpoints.Checkpoint]
) -> None:
    from transformers import AutoTokenizer, BertForQuestionAnswering

    small, large = folders["uncased"], folders["embedded"]
    sizes = {name: one.tokenizer.vocabulary_size for name, one in loaded.items()}
    larger = f"the tokenizer has {sizes['embedded']} pieces, the network only {sizes['uncased']};"
    fewer = f"the tokenizer has only {sizes['uncased']} pieces, the network {sizes['embedded']};"
    raw: Any = AutoTokenizer.from_pretrained(small)
    for tokenizer in (small, str(small), raw, loaded["uncased"].tokenizer):
        with pytest.raises(CheckpointError, match=fewer):
            pipeline(model=loaded["embedded"], tokenizer=tokenizer, device=-1)
    with pytest.raises(CheckpointError, match=fewer):
        pipeline("question-answering", tokenizer=small, device=-1)
    with pytest.raises(CheckpointError, match=larger):
        pipeline(model=small, tokenizer=large, device=-1)
    model = BertForQuestionAnswering.from_pretrained(small)
    with pytest.raises(CheckpointError, match=larger):
        pipeline(model=model, tokenizer=large, device=-1)


# The faults that are kept and those that are mended


def test_scores_of_equal_texts_add_up_over_windows(embedded: QuestionAnsweringPipeline) -> None:
    answer = embedded(
        question="How long?", context="Valid for 12 hours. " * 20, max_seq_len=20, doc_stride=13
    )
    assert answer["score"] > 3  # type: ignore[index, call-overload]


@pytest.mark.parametrize(("context", "top_k"), [("it", 13), ("x y z", 27)])
def test_contexts_with_as_many_spans_as_candidates(
    small: QuestionAnsweringPipeline, context: str, top_k: int
) -> None:
    answers = small(question="who ask", context=context, top_k=top_k)
    assert answers[0]["answer"] in context  # type: ignore[index, call-overload, literal-required]


def test_no_room_beside_the_question(small: QuestionAnsweringPipeline) -> None:
    with pytest.raises(ValueError, match="the question has 80 word pieces and leaves no room"):
        small(question="who " * 80, context=TEXT)
    with pytest.raises(ValueError, match=r"`doc_stride` \(32\) must be smaller than the room.* 21"):
        small(question="who " * 40, context=TEXT * 9)
    with pytest.raises(ValueError, match=f"more than the {POSITIONS} positions"):
        small(question="who", context=TEXT * 9, max_seq_len=POSITIONS + 1)


def test_a_dict_of_questions_on_one_context(small: QuestionAnsweringPipeline) -> None:
    with pytest.warns(FutureWarning):
        together = small({"question": ["who?", "how many?"], "context": TEXT})
    assert together == [small(question=q, context=TEXT) for q in ("who?", "how many?")]


def test_forms_that_transformers_took_by_chance(small: QuestionAnsweringPipeline) -> None:
    lists = {"question": ["who?"], "context": [TEXT]}
    with pytest.warns(FutureWarning), pytest.raises(ValueError, match="one of several"):
        small([lists, {"question": "who?", "context": TEXT}])
    with pytest.warns(FutureWarning), pytest.raises(ValueError, match="same lengths"):
        small({"question": ["who?", "why?"], "context": [TEXT]})


def test_a_dataset_is_read_lazily(small: QuestionAnsweringPipeline) -> None:
    class Questions(torch.utils.data.Dataset[dict[str, str]]):
        def __len__(self) -> int:
            return 2

        def __getitem__(self, index: int) -> dict[str, str]:
            if index >= len(self):
                raise IndexError(index)
            return {"question": "who?", "context": TEXT[index:]}

    with pytest.warns(FutureWarning):
        answers = small(Questions())
    assert not isinstance(answers, list)
    assert list(answers) == [small(question="who?", context=TEXT[i:]) for i in range(2)]


def test_warnings(small: QuestionAnsweringPipeline) -> None:
    asked = {"question": "who?", "context": TEXT}
    with pytest.warns(UserWarning, match="topk is deprecated"):
        assert len(small(**asked, topk=2)) == 2  # type: ignore[arg-type]
    with pytest.warns(UserWarning, match="no parameter max_answer_length"):
        assert small(**asked, max_answer_length=2) == small(**asked)
    with pytest.warns(FutureWarning, match="`data`"):
        assert small(data=asked) == small(**asked)
    with pytest.raises(ValueError, match="padding is 'left'"):
        small(**asked, padding="left")
    with pytest.raises(ValueError, match="doc_stride"):
        small(**asked, doc_stride=-1)


def test_a_cased_vocabulary_alone_is_read_in_its_case(tmp_path: Path) -> None:
    folder = checkpoint(tmp_path / "m", cased=True, layout="spanbert")
    with pytest.warns(FutureWarning):
        answer = pipeline(model=folder, device=-1)("Who?", TEXT)
    assert answer["answer"] in TEXT  # type: ignore[index, call-overload]
    pieces = checkpoints.load(folder, device=torch.device("cpu")).tokenizer
    assert pieces.word_pieces("VPN").ids == pieces.pieces("VPN").ids != pieces.pieces("vpn").ids


def test_logits_that_are_not_numbers_are_refused(folders: dict[str, Path]) -> None:
    broken = checkpoints.load(folders["uncased"], device=torch.device("cpu"))
    with torch.no_grad():
        broken.model.qa_outputs.bias.fill_(float("nan"))
    with pytest.raises(ReaderError, match="not numbers; its weights are damaged"):
        pipeline(model=broken, device=-1)(question="who?", context=TEXT)


def test_a_batch_that_is_too_large_is_read_in_halves(
    folders: dict[str, Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    one = checkpoints.load(folders["uncased"], device=torch.device("cpu"))
    asked = pipeline(model=one, device=-1)
    call: dict[str, Any] = {"question": "how many days?", "context": TEXT * 4, "top_k": 5}
    expected = asked(**call, batch_size=4)
    forward, sizes, most = one.model.bert.forward, [], 1

    def short(input_ids: torch.Tensor, **others: Any) -> Any:
        """A network on a device with room for ``most`` windows."""
        sizes.append(len(input_ids))
        if len(input_ids) > most:
            raise torch.OutOfMemoryError("CUDA out of memory")
        return forward(input_ids, **others)

    monkeypatch.setattr(one.model.bert, "forward", short)
    assert largest_difference(asked(**call, batch_size=4), expected) <= 1e-6
    assert sizes == [4, 2, 1, 1, 2, 1, 1]
    most = 0
    with pytest.raises(ReaderError, match=r"cpu has no memory left for a window of .* pieces; "):
        asked(**call)
