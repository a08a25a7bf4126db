from __future__ import annotations

from types import SimpleNamespace

import datasets
import huggingface_hub
import pytest
from compress_sources.hub import Hub
from compress_sources.labels import class_labels
from huggingface_hub.errors import HTTPError, OfflineModeIsEnabled
from pydantic import ValidationError

from compress.errors import EnvironmentFailure, UsageError

COMMIT = "0123456789abcdef0123456789abcdef01234567"
FEATURES = datasets.Features(
    {
        "tokens": datasets.List(datasets.Value("string")),
        "ner_tags": datasets.Sequence(datasets.ClassLabel(names=["O", "B-PER"])),
    }
)


def rows(count: int) -> datasets.Dataset:
    examples = [{"tokens": [f"t{i}"], "ner_tags": [i % 2]} for i in range(count)]
    return datasets.Dataset.from_list(examples, features=FEATURES)


@pytest.fixture
def hub(monkeypatch):
    """A hub with one data set; what it was asked for is in ``asked``."""
    state = SimpleNamespace(asked=[], splits={"train": rows(20), "test": rows(3), "extra": rows(1)})

    def load(path, name=None, **options):
        state.asked.append({"path": path, "name": name, **options})
        return (
            state.splits[options["split"]]
            if "split" in options
            else datasets.DatasetDict(state.splits)
        )

    monkeypatch.setattr(datasets, "load_dataset", load)
    monkeypatch.setattr(
        huggingface_hub.HfApi,
        "dataset_info",
        lambda self, repo_id, revision=None, timeout=None: SimpleNamespace(sha=COMMIT),
    )
    return state


def source(**options: object) -> Hub:
    return Hub(Hub.Options(hub="owner/ner", **options))


def failing(error: Exception):
    def fail(*arguments: object, **options: object) -> None:
        raise error

    return fail


def test_the_commit_is_resolved_once_and_loaded_exactly(hub):
    data = source(name="english", revision="main")
    assert data.identity()["revision"] == COMMIT and data.identity()["name"] == "english"
    tables = data.read()
    assert hub.asked == [{"path": "owner/ner", "name": "english", "revision": COMMIT}]
    assert {split: len(table.rows) for split, table in tables.items()} == {"train": 20, "test": 3}
    assert tables["test"].rows[1] == {"tokens": ["t1"], "ner_tags": [1]}
    assert tables["test"].places[1] == "owner/ner:test[1]"
    assert tables["train"].label_names == {"ner_tags": ["O", "B-PER"]}
    assert data.columns() == {}


def test_a_full_commit_asks_nobody(hub, monkeypatch):
    monkeypatch.setattr(
        huggingface_hub.HfApi, "dataset_info", failing(AssertionError("asked the hub"))
    )
    assert source(revision="f" * 40).identity()["revision"] == "f" * 40


def test_splits_are_mapped_to_ours(hub):
    assert set(source(splits={"train": "test", "test": "extra"}).read()) == {"train", "test"}
    assert [asked["split"] for asked in hub.asked] == ["test", "extra"]
    assert all("trust_remote_code" not in asked for asked in hub.asked)
    with pytest.raises(ValidationError, match="did you mean 'validation'"):
        source(splits={"validaton": "dev"})


def test_a_share_is_set_aside_where_there_is_no_validation_split(hub):
    tables = source(validation=0.25).read()
    counts = [(split, len(table.rows)) for split, table in tables.items()]
    assert counts == [("train", 15), ("validation", 5), ("test", 3)]
    hub.splits["validation"] = rows(2)
    with pytest.raises(UsageError, match="no validation split"):
        source(validation=0.25).read()


def test_a_data_set_without_our_splits_is_told_which_it_has(hub):
    hub.splits = {"extra": rows(1)}
    with pytest.raises(UsageError, match="train, validation, test but extra.*splits:"):
        source().read()


@pytest.mark.parametrize(
    "error",
    [
        HTTPError("[Errno -2] Name or service not known"),
        OfflineModeIsEnabled("offline\nmode"),
        TimeoutError("timed out"),
    ],
)
def test_a_hub_that_does_not_answer_is_an_environment_failure_of_one_line(error, hub, monkeypatch):
    monkeypatch.setattr(huggingface_hub.HfApi, "dataset_info", failing(error))
    with pytest.raises(EnvironmentFailure, match="owner/ner") as caught:
        source().identity()
    assert "\n" not in str(caught.value)


def test_an_id_that_is_none_is_a_usage_error():
    with pytest.raises(UsageError, match="no data set bad id!!"):
        Hub(Hub.Options(hub="bad id!!")).identity()


@pytest.mark.parametrize(
    ("error", "expected"),
    [
        (ConnectionError("Couldn't reach"), EnvironmentFailure),
        (datasets.exceptions.DatasetNotFoundError("doesn't exist"), UsageError),
        (ValueError("Config name is missing.\nPlease pick one"), UsageError),
        (RuntimeError("Dataset scripts are no longer supported"), UsageError),
    ],
)
def test_what_load_dataset_refuses_is_told_in_one_line(error, expected, hub, monkeypatch):
    monkeypatch.setattr(datasets, "load_dataset", failing(error))
    with pytest.raises(expected) as caught:
        source().read()
    assert str(error).split("\n")[0] in str(caught.value) and "\n" not in str(caught.value)


def test_a_folder_of_the_same_name_is_not_read_instead(hub, tmp_path, monkeypatch):
    (tmp_path / "owner" / "ner").mkdir(parents=True)
    monkeypatch.chdir(tmp_path)
    with pytest.raises(UsageError, match="path in the working directory"):
        source().read()
    assert hub.asked == []


def test_label_names_are_found_in_every_way_that_features_were_written():
    label = {"_type": "ClassLabel", "names": ["a", "b"]}
    found = class_labels(
        {
            "one": label,
            "list": {"_type": "List", "feature": label},
            "sequence": {"_type": "Sequence", "feature": label},
            "old": [label],
            "text": {"_type": "Value", "dtype": "string"},
            "nested": {"feature": label},
            "bare": {"_type": "ClassLabel"},
        }
    )
    assert found == dict.fromkeys(("one", "list", "sequence", "old"), ["a", "b"])
