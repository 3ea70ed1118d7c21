from __future__ import annotations

import pytest

from icd_envs.errors import GameFileError
from icd_envs.household.expressions import compile_expression
from icd_envs.household.grammar import (
    Each,
    Expression,
    Listing,
    Symbol,
    Words,
    parse_grammar,
    parse_text,
    task_sentence,
)
from icd_envs.household.naming import Entity, name_entities


@pytest.mark.parametrize(
    ("text", "pieces"),
    [
        ("Plain words.", (Words("Plain words."),)),
        ("a #b.c(d, e)# f", (Words("a "), Symbol("b.c(d, e)"), Words(" f"))),
        ("{o.name or o.id}!", (Each(Expression("o.name or o.id")), Words("!"))),
        ("{o.name | p(o:t) & q(o:t)}", (Each(Expression("o.name"), "p(o:t) & q(o:t)"),)),
        ("[{#x(o)# | p(o:t)}].", (Listing(Each(Symbol("x(o)"), "p(o:t)")), Words("."))),
        (
            "[{o.indefinite + ' ' + o.name | p(o:t)}]",
            (Listing(Each(Expression("o.indefinite + ' ' + o.name"), "p(o:t)")),),
        ),
        ('say "these" words', (Words("say "), Words("these"), Words(" words"))),
        ("one\\ntwo\nthree", (Words("one\ntwo\nthree"),)),
        ("", ()),
    ],
)
def test_texts_are_read_into_pieces(text: str, pieces: tuple[object, ...]) -> None:
    assert parse_text(text) == pieces


@pytest.mark.parametrize(
    "text", ["ends }here", "ends ; here", "ends #here", "ends [here]", "ends {o.name|", "ends |"]
)
def test_a_text_ends_at_what_cannot_be_read(text: str) -> None:
    assert parse_text(text) == (Words("ends "),)


def test_blanks_at_the_start_of_a_text_do_not_count() -> None:
    assert parse_text("\n  \n first") == (Words("first"),)
    assert parse_text("// a comment\nfirst") == (Words("first"),)


def test_a_document_is_read_in_any_order_and_later_rules_replace_earlier_ones() -> None:
    grammar = parse_grammar(
        '''# nothing
        action Open-It { feedback :: "#x#"; template :: "open {r}"; pddl :: """(any)""";
          grammar :: """
            # not JSON
            {"x": [{"rhs": "second"}]}
          """; }
        grammar :: """{"x": [{"rhs": "third", "condition": "p(r:t)"}, {"rhs": "else"}]}""";
        '''
    )
    assert grammar.actions["open-it"].template == (Words("open "), Each(Expression("r")))
    assert [rule.condition for rule in grammar.rules["x"]] == ["p(r:t)", ""]


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("nonsense", "line 1: expected 'action' or 'grammar'"),
        ('\n\naction a { template : "x"; }', "line 3: expected '::'"),
        ('action a { template :: "x"; }', "no 'feedback'"),
        ('grammar :: """{"x": 3}""";', "not a table of rules"),
        ('grammar :: """{""";', "not a table of rules"),
    ],
)
def test_a_damaged_document_says_where(text: str, problem: str) -> None:
    with pytest.raises(GameFileError, match=problem):
        parse_grammar(text)


def test_the_task_sentence_is_what_follows_the_colon() -> None:
    document = 'grammar :: """{"task": [{"rhs": "Your task is to: be kind: always."}]}""";'
    assert task_sentence(document) == "be kind: always."
    assert task_sentence('grammar :: """{}""";') == ""


ENTITIES = {"id1": Entity("id1", "thing", "cup 1"), "id2": Entity("id2", "thing", "")}


@pytest.mark.parametrize(
    ("source", "value"),
    [
        ("o", "cup 1"),
        ("o.name", "cup 1"),
        ("n.name or n.id", "id2"),
        ("n.adj or o.definite + ' ' + o.name", "the cup 1"),
        ("n.name and o.name", ""),
        ("o.adj", "None"),
        ("'a' + \"b\"", "ab"),
    ],
)
def test_expressions(source: str, value: str) -> None:
    assert str(compile_expression(source, {"o": 0, "n": 1})(ENTITIES, ["id1", "id2"])) == value


@pytest.mark.parametrize(
    "source",
    [
        "open('/etc/passwd')",
        "o.__class__",
        "o.name.upper()",
        "1 + 2",
        "x",
        "o.name -",
        "[o]",
        "o if n else o",
    ],
)
def test_an_expression_cannot_do_anything_else(source: str) -> None:
    with pytest.raises(GameFileError):
        compile_expression(source, {"o": 0, "n": 1})


def test_things_of_a_kind_are_numbered_from_the_last_id_to_the_first() -> None:
    ids = ["cup_bar__plus_01", "cup_bar__minus_02", "sink_bar__plus_01_bar_sinkbasin", "agent1", "cuptype"]
    names = {one: entity.name for one, entity in name_entities(ids, dict.fromkeys(ids, "t")).items()}
    assert names == {
        "agent1": "agent1 ",
        "cup_bar__minus_02": "cup 2",
        "cup_bar__plus_01": "cup 1",
        "cuptype": "cuptype ",
        "sink_bar__plus_01_bar_sinkbasin": "sinkbasin 1",
    }
