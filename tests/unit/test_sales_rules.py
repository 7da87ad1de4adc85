"""The rules of the handoff: what may be written, and where it is said what is wrong; and that assignment is fair."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from journeys import sales
from journeys.assigning import Hand, choose
from journeys.sales import Assign, Sales
from journeys.source import InvalidFile, Source
from journeys.team import Rep

TEAM = """
reps:
  - {name: Mei, email: mei@acme.example, time_zone: Asia/Shanghai, territories: [CN, SG]}
  - {name: Tom, email: tom@acme.example, time_zone: Europe/Berlin, territories: DE, queues: [sales]}
manager: {name: Ada, email: ada@acme.example}
"""


def parse(text: str) -> Sales:
    return sales.parse(Source.parse(text, "handoff.yaml"), {"company"})


def problems(text: str) -> list[str]:
    with pytest.raises(InvalidFile) as caught:
        parse(text)
    return [str(one) for one in caught.value.problems]


def test_one_rule_is_a_file_of_its_own_and_has_defaults() -> None:
    [rule] = parse("threshold: 60\n").rules
    assert (rule.name, rule.queue, str(rule.due), rule.assign, rule.marketing) == (
        "qualified", "sales", "1 working day", ("round_robin",), "go_on",
    )  # fmt: skip
    assert (rule.outcomes.won.stage, rule.outcomes.bad_lead.score) == ("customer", 0)


def test_a_rule_without_a_threshold_only_keeps_the_tasks_of_maps() -> None:
    team = parse("rules: [{name: calls, due: 2 working hours}]\ntasks: calls\n")
    assert (team.tasks, team.rules[0].threshold) == ("calls", None)


def test_several_rules_stand_in_a_list_beside_their_team() -> None:
    team = parse(
        "rules:\n  - {name: hot, threshold: 80, when: {country: CN}, assign: territory, remind: 2h before due}\n"
        "  - {name: warm, threshold: 60, again_below: 40, assign: owner}\n" + TEAM
    )
    assert [rule.name for rule in team.rules] == ["hot", "warm"]
    assert team.rules[1].assign == ("owner", "round_robin")
    assert str(team.rules[0].remind) == "2h"


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("threshold: 60\nagain_below: 60\n", "handoff.yaml:2:1: again_below is below the threshold, 60"),
        ("threshold: 60\ndue: 4 working hous\n", "handoff.yaml:2:1: '4 working hous' is no stretch of time"),
        ("threshold: 60\nremind: 2h\n", "handoff.yaml:2:1: remind needs somebody who works on the queue sales"),
        ("threshold: 60\nescalate_after: 1d\n", "handoff.yaml:2:1: escalate_after needs a manager"),
        ("threshold: 60\nassign: territory\n", "handoff.yaml:2:1: nobody works on the queue sales"),
        ("threshold: 60\nassign: dice\n", "'dice' is not allowed here"),
        ("threshold: 60\ntreshold: 50\n", "'treshold' is not known here; did you mean 'threshold'?"),
        ("threshold: many\n", "'many' stands where a whole number is wanted"),
        ("threshold: 60\nwhen: {field: {name: compny, is: a}}\n", "'compny' is no field of a customer"),
        ("threshold: 60\npipeline: [{stage: a, chance: 1.5}]\n", "1.5 is too large: at most 1"),
        ("threshold: 60\npipeline: []\n", "pipeline: is empty"),
        ("threshold: 60\nreps: [{name: Mei, email: mei}]\n", "'mei' is no mail address"),
        ("threshold: 60\nreps: [{name: Mei, email: m@a.example, time_zone: Mars}]\n", "'Mars' is no time zone"),
        ("threshold: 60\nworking: {from: \"18:00\", to: \"09:00\"}\n", "working hours end after they begin"),
        ("rules: []\n", "rules: is empty"),
        ("rules: [{name: calls, again_below: 5}]\n", "again_below is about crossing a threshold, and calls has none"),
        ("threshold: 60\ntasks: calls\n", "handoff.yaml:2:1: 'calls' is no rule of this file; allowed: qualified"),
        ("remind: 2h\n", "threshold: is missing"),
        ("threshold: 60\nlanguage: Chinese\n", "'Chinese' is no language: write en, zh or zh-CN"),
        ("rules: [{threshold: 60}, {threshold: 80}]\n", "the rule qualified stands here twice"),
        ("threshold: 60\noutcomes: {sold: {}}\n", "'sold' is not known here"),
    ],
)  # fmt: skip
def test_what_is_wrong_is_said_at_its_place(text: str, said: str) -> None:
    assert any(said in problem for problem in problems(text)), problems(text)


def test_a_segment_that_is_not_there_is_no_condition(tmp_path: Path) -> None:
    (tmp_path / "handoff.yaml").write_text("threshold: 60\nwhen: {segment: dreamers}\n")
    with pytest.raises(InvalidFile, match=r"2:8.*'dreamers' is no segment"):
        sales.load(tmp_path)
    assert sales.load(tmp_path / "elsewhere") is None


# Assignment

REPS = tuple(Rep(name=name, email=f"{name}@acme.example", territories=["CN"]) for name in "abcde")
Hands = dict[str, Hand]


def give(hands: Hands, name: str, turn: int) -> None:
    hands[name] = Hand(hands.get(name, Hand()).tasks + 1, turn)


@given(st.integers(1, 5), st.integers(1, 60))
def test_round_robin_gives_nobody_two_more_than_another(reps: int, leads: int) -> None:
    hands: Hands = {}
    given_to: Counter[str] = Counter({rep.name: 0 for rep in REPS[:reps]})
    for turn in range(1, leads + 1):
        rep = choose(["round_robin"], REPS[:reps], hands, owner=None, country=None).rep
        assert rep is not None
        give(hands, rep.name, turn)
        given_to[rep.name] += 1
    assert max(given_to.values()) - min(given_to.values()) <= 1


@given(st.lists(st.sets(st.sampled_from("abcde"), min_size=1), min_size=1, max_size=60))
def test_who_was_away_is_next_and_nobody_is_passed_over_twice(days: list[set[str]]) -> None:
    hands: Hands = {}
    for turn, there in enumerate(days, 1):
        reps = [rep for rep in REPS if rep.name in there]
        rep = choose(["round_robin"], reps, hands, owner=None, country=None).rep
        assert rep is not None
        assert all(hands.get(rep.name, Hand()).turn <= hands.get(one.name, Hand()).turn for one in reps)
        give(hands, rep.name, turn)


@given(st.dictionaries(st.sampled_from("abcde"), st.builds(Hand, st.integers(0, 9), st.integers(0, 99))))
def test_the_least_loaded_is_nobody_who_has_more_than_another(hands: Hands) -> None:
    rep = choose(["least_loaded"], REPS, hands, owner=None, country=None).rep
    assert rep is not None
    assert hands.get(rep.name, Hand()).tasks == min(hands.get(one.name, Hand()).tasks for one in REPS)


def test_territories_decide_and_nobody_gets_what_is_in_none() -> None:
    team = parse("threshold: 60\nassign: territory\n" + TEAM)
    assert choose(["territory"], team.reps, {}, owner=None, country="DE").rep == team.reps[1]
    nobody = choose(["territory"], team.reps, {}, owner=None, country="FR")
    assert (nobody.rep, nobody.because) == (None, "nobody has the territory FR")
    assert choose(["territory", "least_loaded"], team.reps, {}, owner=None, country="FR").rep is not None
    unknown = choose(["territory"], team.reps, {}, owner=None, country=None)
    assert unknown.because == "no country is known of the lead"


def test_the_owner_keeps_the_lead_while_there_and_else_it_is_somebody_elses_turn() -> None:
    ways: list[Assign] = ["owner", "round_robin"]
    hands = {"a": Hand(3, 9)}
    kept = choose(ways, REPS, hands, owner="c", country=None)
    assert (kept.rep, kept.because) == (REPS[2], "the owner")
    away = choose(ways, REPS[:2], hands, owner="c", country=None)
    assert (away.rep, away.because) == (REPS[1], "round robin")
    assert choose(("owner",), [], {}, owner="c", country=None).because == "nobody works on this queue today"
