"""The pipeline call against what transformers 4.57.6 answered, and its own promises."""

from __future__ import annotations

import json
import shutil
import threading
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from typing import Any

import pytest
import torch

from bench import pipeline_replay
from bench.pipeline_replay import largest_difference
from bench.processor import processor
from bench.record_pipeline import CASES
from reader import checkpoint as checkpoints
from reader.errors import CheckpointError, DeviceError, OutputError, ReaderError
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
    pipeline_replay.main(["--own-rounding", "--out", str(out)])
    found: dict[str, Any] = json.loads(out.read_text(encoding="utf-8"))
    return found


def group_of(case: dict[str, Any]) -> str:
    precision = case.get("setup", {}).get("dtype")
    return f"{case['model']}, {precision}" if precision else str(case["model"])


@pytest.mark.parametrize(
    "group",
    [
        "embedded",
        "cased",
        "uncased",
        *(f"{m}, {p}" for p in ("float16", "bfloat16", "float64") for m in ("embedded", "cased")),
    ],
)
def test_every_recorded_call_gives_what_transformers_gave(
    group: str, replayed: dict[str, Any]
) -> None:
    cases = [case for case in RECORD["cases"] if group_of(case) == group]
    found = replayed["models"][group]
    assert found["different"] == []
    assert found["results"] == sum("result" in case for case in cases) > 0
    assert found["errors"] + len(found["mended"]) == sum("error" in case for case in cases)
    # A question as an object, alone and not in a list, was refused.
    assert all([*case["args"][0]] == ["$example"] for case in found["mended"])
    assert len(found["mended"]) == (group in ("embedded", "uncased"))
    assert found["largest_difference"] <= 1e-6


def test_the_figures_of_a_replay_are_those_of_all_models(replayed: dict[str, Any]) -> None:
    models = replayed["models"].values()
    assert replayed["cases"] == len(RECORD["cases"])
    assert replayed["results_equal"] == replayed["results"] >= 100
    assert replayed["errors_equal"] + replayed["errors_mended"] == replayed["errors"]
    assert replayed["largest_difference"] == max(one["largest_difference"] for one in models)
    assert replayed["recorded_with"]["transformers"] == "4.57.6"
    assert replayed["models"].keys() == {group_of(case) for case in RECORD["cases"]}


def test_a_replay_with_the_rounding_of_this_processor(replayed: dict[str, Any]) -> None:
    """Which in float32 changes digits and, on texts whose scores are not near, no answer."""
    own = replayed["own_rounding"]
    assert own["processor"] == processor()
    assert own["errors_equal"] == replayed["errors_equal"]
    for name, found in own["models"].items():
        same = replayed["models"][name]
        assert found["results"] + len(found["different"]) == same["results"]
    assert own["models"]["embedded"]["largest_difference"] <= 1e-4


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


def test_a_loaded_model_keeps_its_precision(folders: dict[str, Path]) -> None:
    from transformers import BertForQuestionAnswering

    folder = folders["cased"]
    model = BertForQuestionAnswering.from_pretrained(folder, dtype=torch.float16)
    asked = {"question": "how many days?", "context": TEXT, "top_k": 5}
    qa = pipeline(model=model, tokenizer=folder, device=-1)
    same = pipeline(model=folder, dtype=torch.float16, device=-1)
    assert qa.dtype == same.dtype == model.dtype == torch.float16
    assert qa(**asked) == same(**asked) != pipeline(model=folder, device=-1)(**asked)
    assert pipeline(model=model, tokenizer=folder, device=-1, dtype="float16").dtype == model.dtype
    with pytest.raises(ValueError, match=r"loaded in torch.float16; convert it first, model.to\("):
        pipeline(model=model, tokenizer=folder, device=-1, dtype="float32")


# The arguments of the call


def card(model: str, **others: Any) -> Any:
    """The answers of a call with further arguments."""
    asked = pipeline("question-answering", model=model, **{"device": -1, **others})
    return asked(question="how many days?", context=TEXT, top_k=4)


def test_arguments_that_make_no_difference(folders: dict[str, Path]) -> None:
    from transformers import BertConfig

    folder = str(folders["uncased"])
    plain = card(folder)
    same: list[dict[str, Any]] = [
        {"tokenizer": (folder, {})},
        {"tokenizer": (folder, {"use_fast": True}), "use_fast": None},
        {"config": folder},
        {"config": f"{folder}/"},
        {"config": BertConfig.from_pretrained(folder)},
        {"revision": "v2", "token": "hf_none"},
        {"token": False, "trust_remote_code": False, "framework": "pt"},
        {"device": None, "device_map": "cpu"},
        {"device": None, "device_map": {"": "cpu"}},
        {"device": None, "device_map": {"bert": "cpu", "qa_outputs": "cpu"}},
        {"device": None, "model_kwargs": {"device_map": torch.device("cpu")}},
        {"model_kwargs": {"torch_dtype": "float32"}},
        {"dtype": None, "torch_dtype": torch.float32},
        {"pipeline_class": QuestionAnsweringPipeline},
    ]
    for others in same:
        assert card(folder, **others) == plain, others


def test_the_slow_tokenizer_of_a_card_is_a_fast_one_with_a_warning(
    folders: dict[str, Path],
) -> None:
    folder = str(folders["cased"])
    plain, settings = card(folder), {"use_fast": False}
    with pytest.warns(UserWarning, match="no slow tokenizers"):
        assert card(folder, tokenizer=(folder, settings)) == plain
    assert settings == {"use_fast": False}  # transformers took it out of the caller's dict
    with pytest.warns(UserWarning, match="no slow tokenizers"):
        assert card(folder, use_fast=False) == plain


@pytest.mark.parametrize("name", ["dtype", "torch_dtype"])
def test_a_precision_by_either_name(folders: dict[str, Path], name: str) -> None:
    folder = str(folders["cased"])
    half = card(folder, **{name: "float16"})
    assert half != card(folder)
    assert (
        half
        == card(folder, **{name: torch.float16})
        == card(folder, model_kwargs={name: "float16"})
    )
    assert card(folder, dtype="float32", torch_dtype="float16") == card(folder)  # as it was


def test_a_number_without_a_gpu_is_the_processor(folders: dict[str, Path]) -> None:
    if torch.cuda.is_available():
        pytest.skip("needs a machine without CUDA")
    with pytest.warns(UserWarning, match="device=0: torch sees no CUDA device"):
        assert pipeline(model=str(folders["cased"]), device=0).device == torch.device("cpu")
    with pytest.raises(DeviceError, match="no CUDA device"):
        pipeline(model=str(folders["cased"]), device="cuda:0")
    assert pipeline(model=str(folders["cased"]), device_map="auto").device.type == "cpu"


def test_a_version_of_a_model_of_the_hub(
    tmp_path: Path, folders: dict[str, Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    """The hub's own cache layout: what two downloads leave behind."""
    model = tmp_path / "models--owner--name"
    (model / "refs").mkdir(parents=True)
    for revision, commit, folder in (("main", "aaa", "cased"), ("v2", "bbb", "uncased")):
        (model / "refs" / revision).write_text(commit)
        shutil.copytree(folders[folder], model / "snapshots" / commit)
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_CACHE", str(tmp_path))
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", True)
    assert card("owner/name") == card(str(folders["cased"]))
    second = card(str(folders["uncased"]))
    assert card("owner/name", revision="v2", token="hf_none") == second
    # For a tokenizer of its own too, by name and in a pair.
    assert card(str(folders["uncased"]), tokenizer="owner/name", revision="v2") == second
    assert card("owner/name", tokenizer=("owner/name", {}), revision="v2") == second
    with pytest.raises(CheckpointError, match="the model owner/name, revision v3, could not be"):
        card("owner/name", revision="v3")


def test_the_token_goes_to_the_hub_alone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A hub on this machine hears who asks; no message shows it."""
    heard: list[str | None] = []

    class Hub(BaseHTTPRequestHandler):
        def do_HEAD(self) -> None:
            heard.append(self.headers["Authorization"])
            self.send_error(401)

        def do_GET(self) -> None:
            self.do_HEAD()

        def log_message(self, *_: Any) -> None:
            pass

    hub = HTTPServer(("127.0.0.1", 0), Hub)
    threading.Thread(target=hub.serve_forever, daemon=True).start()
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", False)
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_CACHE", str(tmp_path))
    monkeypatch.setattr("huggingface_hub.constants.ENDPOINT", f"http://127.0.0.1:{hub.server_port}")
    try:
        with pytest.raises(CheckpointError, match="owner/name could not be downloaded") as raised:
            pipeline(model="owner/name", token="hf_secret", device=-1)
    finally:
        hub.shutdown()
        hub.server_close()
    assert "Bearer hf_secret" in heard
    assert "hf_secret" not in str(raised.value)


def test_what_cannot_be_had_is_refused(tmp_path: Path, folders: dict[str, Path]) -> None:
    folder = folders["uncased"]
    with pytest.raises(KeyError, match="Unknown task fill-mask"):
        pipeline("fill-mask", model=folder)
    with pytest.raises(RuntimeError, match="name a model"):
        pipeline()
    with pytest.raises(ValueError, match="top_k parameter"):
        pipeline("question-answering", model=folder, device=-1, top_k=0)
    with pytest.raises(CheckpointError, match="no question-answering head"):
        pipeline(model=checkpoint(tmp_path / "headless", head=False), device=-1)


@pytest.mark.parametrize(
    ("others", "told"),
    [
        ({"framework": "tf"}, "framework='tf' is not supported: networks run in torch"),
        ({"trust_remote_code": True}, "trust_remote_code=True .* no code that comes with a model"),
        ({"processor": "p"}, "processor='p' is not supported: a BERT that reads text has none"),
        ({"pipeline_class": int}, "pipeline_class=<class 'int'> is not supported: leave it out"),
        ({"dtype": "int8"}, "dtype='int8' is not supported; use float32, float16, bfloat16"),
        ({"dtype": torch.int8}, "dtype=torch.int8 is not supported"),
        ({"dtype": "float16", "model_kwargs": {"dtype": "float32"}}, "both name a precision"),
        ({"model_kwargs": {"cache_dir": "x"}}, "cache_dir in model_kwargs .* set HF_HUB_CACHE to"),
        ({"model_kwargs": {"use_auth_token": "x"}}, "use_auth_token in .* give it as token"),
        ({"model_kwargs": {"local_files_only": True}}, "set HF_HUB_OFFLINE=1 instead"),
        ({"model_kwargs": {"quantization_config": 4}}, "quantization_config in .* leave it out"),
        ({"device_map": "cpu", "device": "cpu"}, "both name a device; leave one out"),
        ({"device_map": "cpu", "model_kwargs": {"device_map": "cpu"}}, "both name a device"),
        ({"device_map": {"bert": 0, "qa_outputs": 1}}, "does not name one device.* use device"),
        ({"device_map": {}}, "does not name one device"),
        ({"device_map": "balanced_low_0"}, "'balanced_low_0' is not supported; use auto or one"),
        ({"tokenizer": ("x",)}, r"tokenizer=\('x',\) is not a folder or hub id with a dict"),
        ({"tokenizer": ("x", {"do_lower_case": True})}, "do_lower_case.*tokenizer_config.json of"),
        ({"config": "owner/other"}, "config='owner/other' is not the configuration of .* leave"),
        ({"config": 5}, "config=5 is not the configuration"),
    ],
)
def test_an_argument_that_is_not_supported_is_named(
    folders: dict[str, Path], others: dict[str, Any], told: str
) -> None:
    with pytest.raises(ValueError, match=told):
        pipeline("question-answering", model=folders["uncased"], **others)


def test_the_configuration_of_another_network_is_refused(folders: dict[str, Path]) -> None:
    from transformers import BertConfig, RobertaConfig

    own = BertConfig.from_pretrained(folders["uncased"])
    wider = BertConfig(**{**own.to_dict(), "intermediate_size": 128})
    other = RobertaConfig(**{**own.to_dict(), "model_type": "roberta"})
    for config in (wider, other):
        said = f"config=a {type(config).__name__} is not the configuration of"
        with pytest.raises(ValueError, match=said):
            pipeline(model=folders["uncased"], config=config, device=-1)


# The methods beside the call


def test_questions_as_objects(small: QuestionAnsweringPipeline) -> None:
    one = small.create_sample("who?", TEXT)
    several = QuestionAnsweringPipeline.create_sample(["who?", "how many?"], TEXT)
    with pytest.warns(FutureWarning):
        assert small(one) == small.predict([one]) == small(question="who?", context=TEXT)
    with pytest.warns(FutureWarning):
        answers = small.transform(several)
    assert answers == small(question=["who?", "how many?"], context=TEXT)
    with pytest.raises(ValueError, match="same lengths"):
        small.create_sample(["who?"], [TEXT, TEXT])
    with pytest.raises(TypeError, match="`question` must be a string, not int"):
        small.create_sample(5, TEXT)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("precision", "written"), [("float32", torch.float32), ("float16", torch.float16)]
)
def test_what_is_saved_is_loaded_again(
    tmp_path: Path, folders: dict[str, Path], precision: str, written: torch.dtype
) -> None:
    from safetensors.torch import load_file

    asked = {"question": "how many days?", "context": TEXT, "top_k": 4}
    qa = pipeline(model=folders["cased"], device=-1, dtype=precision)
    qa.save_pretrained(tmp_path / "new" / "folder")
    again = pipeline(model=tmp_path / "new" / "folder", device=-1, dtype=precision)
    assert again(**asked) == qa(**asked)
    weights = load_file(tmp_path / "new" / "folder" / "model.safetensors")
    assert {tensor.dtype for tensor in weights.values()} == {written}


def test_what_save_pretrained_does_not_do(tmp_path: Path, small: QuestionAnsweringPipeline) -> None:
    with pytest.raises(ValueError, match=r"safe_serialization=False .* written as safetensors"):
        small.save_pretrained(tmp_path / "m", safe_serialization=False)
    with pytest.raises(ValueError, match=r"push_to_hub=True .* upload the folder"):
        small.save_pretrained(tmp_path / "m", push_to_hub=True)
    assert not (tmp_path / "m").exists()
    (tmp_path / "m").write_text("a file")
    with pytest.raises(OutputError, match="m"):
        small.save_pretrained(tmp_path / "m")


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
