"""A create may name a model or a recipe, among those that the operator allows."""

from __future__ import annotations

import pytest
from pydantic import ValidationError

from stemwright.server.settings import Settings
from tests.server.http.conftest import Serve
from tests.server.http.house import Caller, House


@pytest.fixture
def allowing(serve: Serve) -> House:
    return serve(allowed_models=("four", "drums", "mega53"), cost_factors="four:1.1,drums:0")


def test_the_bundled_model_alone_may_be_named_unless_the_operator_says_more(dialect: str, house: House) -> None:
    caller = house.caller(dialect=dialect)
    assert caller.record(caller.created(model="twelve"))["model"] == "twelve"
    for model in ("four", "../etc", "x" * 200, 3):
        answer = caller.create(model=model)
        assert answer.json()["code"] == {"apikley": 422, "sunoapi": 400}[dialect]
        assert "model" in answer.json()["msg"]
    assert caller.balance() == 99


def test_an_allowed_model_is_kept_with_the_task_until_it_is_done(allowing: House) -> None:
    caller = allowing.caller()
    task_id = caller.created(type="split_stem", model="four")
    assert caller.record(task_id)["model"] == "four"
    assert caller.record(caller.created())["model"] is None
    assert "one of: twelve, four, drums, mega53" in caller.create(model="six").json()["msg"]


def test_stems_without_a_field_are_in_the_list_of_all(allowing: House) -> None:
    caller = allowing.caller()
    task_id = caller.created(type="split_stem", model="drums")
    allowing.finish(task_id, stems=("kick", "hi_hat", "no_drums"), model="drums")
    response = caller.record(task_id)["response"]
    assert [each["stem_type_group_name"] for each in response["originData"]] == ["Kick", "Hi Hat", "No Drums"]
    assert not [name for name, value in response.items() if name.endswith("Url") and value]


def test_four_stems_fill_their_fields(allowing: House) -> None:
    caller = allowing.caller()
    task_id = caller.created(type="split_stem", model="four")
    allowing.finish(task_id, stems=("vocals", "drums", "bass", "other"), model="four")
    response = caller.record(task_id)["response"]
    assert {name for name, value in response.items() if value} == {"originData", "vocalUrl", "drumsUrl", "bassUrl"}
    assert [each["model"] for each in response["originData"]] == [
        "four-vocals",
        "four-drums",
        "four-bass",
        "four-other",
    ]
    assert caller.record(task_id)["precision"] == "bf16"


def test_the_advanced_kind_says_which_head_of_which_model_it_was(allowing: House) -> None:
    caller = allowing.caller()
    task_id = caller.created(type="split_stem_advanced", stemName="Violin")
    allowing.finish(task_id, stems=("violin", "rest"), model="mega53")
    record = caller.record(task_id)
    extract = record["response"]["originData"][0]["extract"]
    assert (extract["mapped_to"], extract["model"], record["model"]) == ("violin", "mega53-violin", "mega53")
    assert record["response"]["stringsUrl"] == extract["audio_url"]


def test_a_model_has_its_price_which_is_told_before(allowing: House) -> None:
    caller = allowing.caller()
    for model, left in (("four", 94), ("drums", 94), ("mega53", 89), (None, 84)):
        caller.created(type="split_stem", model=model)
        assert caller.balance() == left
    prices = caller.signed_in().get("/console/api/session").json()["data"]["service"]["prices"]
    assert prices["four"] == {"separate_vocal": 2, "split_stem": 6, "split_stem_advanced": 6}
    assert [prices[model]["split_stem"] for model in ("twelve", "drums", "mega53")] == [5, 0, 5]


@pytest.mark.parametrize("factors", ["four:-1", "four", "four:much", "four:inf"])
def test_a_factor_that_is_no_price_is_refused(factors: str) -> None:
    with pytest.raises(ValidationError, match="cost_factors"):
        Settings(cost_factors=factors)  # type: ignore[arg-type]


def test_again_takes_the_same_model(allowing: House) -> None:
    caller = allowing.caller()
    task_id = caller.created(model="four")
    allowing.finish(task_id, model="four")
    answer = caller.signed_in().post(f"/console/api/tasks/{task_id}/again")
    assert caller.record(answer.json()["data"]["taskId"])["model"] == "four"


def test_again_costs_what_it_did_where_the_mega_model_came_by_itself(serve: Serve) -> None:
    house = serve(allowed_models=("mega53",), cost_factors="mega53:3")
    caller = house.caller()
    for model, cost in ((None, 5), ("mega53", 15)):
        task_id = caller.created(type="split_stem_advanced", stemName="Violin", model=model)
        house.finish(task_id, stems=("violin", "rest"), model="mega53")
        before = caller.balance()
        caller.signed_in().post(f"/console/api/tasks/{task_id}/again")
        assert before - caller.balance() == cost


def test_the_setting_is_a_list(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("STEMWRIGHT_ALLOWED_MODELS", "four, mega53,twelve")
    assert Settings().models == ("twelve", "four", "mega53")


def test_a_caller_without_a_choice_gets_the_operators_model(caller: Caller) -> None:
    assert caller.record(caller.created(model=None))["model"] is None
    assert caller.record(caller.created(model=""))["model"] is None
