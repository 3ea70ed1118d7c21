"""What the pages show of real episodes, and that whatever they show stays text."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from visiting import PAGES, Markup, Operator, connect, links, make_key, open_site

from icd.console.site import Site
from icd.store_upkeep import erase_episode
from icd_memory.figures import EpisodeFilter
from icd_memory.store import Store

TEXT = {
    "a",
    "caption",
    "code",
    "dd",
    "details",
    "div",
    "dl",
    "dt",
    "h1",
    "h2",
    "h3",
    "h4",
    "li",
    "ol",
    "p",
    "pre",
}
TEXT |= {"section", "small", "span", "strong", "summary", "table", "tbody", "td", "th", "thead", "tr", "ul"}
FRAME = {
    "body",
    "figcaption",
    "figure",
    "footer",
    "head",
    "header",
    "html",
    "link",
    "main",
    "meta",
    "nav",
    "title",
}
FORMS = {"button", "form", "input", "label", "option", "select", "textarea"}
CHARTS = {"circle", "clippath", "defs", "desc", "g", "path", "rect", "svg", "text", "use"}
TAGS_OF_PAGES = frozenset(TEXT | FRAME | FORMS | CHARTS)


async def addresses(operator: Operator, run: str) -> list[str]:
    """Every kind of page there is, those of single things included."""
    found = [
        *PAGES,
        "/memory?order=shown",
        "/memory?status=quarantine",
        f"/experiments?run={run}",
        f"/?run={run}",
    ]
    for path, beginning in (
        ("/episodes", "/episodes/"), ("/memory?status=", "/memory/"), ("/strategies", "/strategies/"),
    ):  # fmt: skip
        listed = (await operator.client.get(f"/ui{path}")).text
        found += links(listed, beginning)[:3]
    return found


@pytest.fixture
def run(store: Store) -> str:
    return next(row.id for row in reversed(store.runs()) if "defaults" in row.config["conditions"])


async def test_every_page_answers_and_tells_browsers_to_be_careful(operator: Operator, run: str) -> None:
    for path in [*await addresses(operator, run), "/nothing", "/sign-in", "/assets/console.css"]:
        answer = await operator.client.get(f"/ui{path}")
        assert answer.status_code == (404 if path == "/nothing" else 200), path
        policy = answer.headers["content-security-policy"]
        assert "default-src 'none'" in policy
        assert "script" not in policy
        assert "unsafe" not in policy
        assert answer.headers["x-frame-options"] == "DENY"
        assert answer.headers["x-content-type-options"] == "nosniff"
        if not path.startswith("/assets"):
            assert answer.headers["cache-control"] == "no-store"
            markup = Markup(answer.text)
            assert markup.tags <= TAGS_OF_PAGES, path
            assert not {name for name in markup.attributes if name.startswith("on") or name == "style"}, path
            assert all(a.startswith(("/ui/", "#")) for a in markup.addresses), path


async def test_the_overview_says_what_the_store_says(operator: Operator, store: Store, run: str) -> None:
    page = Markup((await operator.get("/", run=run, method="cascade")).text).text
    rows = store.figures.totals("default", run, "cascade")
    episodes = store.figures.episodes("default", EpisodeFilter(run_id=run, method="cascade")).rows
    assert sum(row.episodes for row in rows) == len(episodes) == 1
    assert f"of 1 of {len(episodes)} episodes" in page
    [one] = episodes
    spent = sum(r.cost for r in store.ledger(run) if r.episode_id == one.episode_id and not r.counterfactual)
    assert one.cost == pytest.approx(spent)
    assert f"${spent:.4f}" in page
    assert "The teacher at every step" in page
    live = Markup((await operator.get("/")).text).text
    assert "Live traffic" in live
    assert "of 3 of 4 episodes" in live


async def test_the_filters_narrow(operator: Operator, store: Store, run: str) -> None:
    everything = store.figures.episodes("default", EpisodeFilter(), most=1000).rows
    for query, fits in {
        "end=won": lambda one: one.success is True,
        "end=lost": lambda one: one.success is False,
        "end=unknown": lambda one: one.success is None,
        "teacher=yes": lambda one: one.teacher_steps > 0,
        "teacher=no": lambda one: one.teacher_steps == 0,
        f"run={run}": lambda one: one.run_id == run,
        "method=copy": lambda one: one.method == "copy",
        "since=2999-01-01": lambda one: False,
        "text=DEFAULT-0001": lambda one: one.episode_id == "default-0001",
    }.items():
        shown = links((await operator.client.get(f"/ui/episodes?{query}")).text, "/episodes/")
        assert len(shown) == sum(map(fits, everything)), query  # type: ignore[no-untyped-call]


async def test_lists_are_paged_through_without_gaps(store: Store, site: Site) -> None:
    figures = store.figures
    whole = [one.episode_id for one in figures.episodes("default", EpisodeFilter(), most=1000).rows]
    page, seen, back = figures.episodes("default", EpisodeFilter(), most=3), [], []
    assert page.newer is None
    while True:
        seen += [one.episode_id for one in page.rows]
        if page.older is None:
            break
        page = figures.episodes("default", EpisodeFilter(), older=page.older, most=3)
    assert seen == whole
    while page.newer is not None:
        page = figures.episodes("default", EpisodeFilter(), newer=page.newer, most=3)
        back = [one.episode_id for one in page.rows] + back
    assert back == whole[: len(back)]
    assert len(back) >= len(whole) - 3


async def test_an_episode_says_why_each_step(operator: Operator, store: Store, run: str) -> None:
    [one] = store.figures.episodes("default", EpisodeFilter(run_id=run, method="cascade")).rows
    page = Markup((await operator.get(f"/episodes/{one.episode_id}")).text)
    for row in store.decisions(one.episode_id):
        if row.step >= 0:
            assert row.id in page.text
            assert row.body["action"] in page.text
    assert "Why this step: the student's samples" in page.text
    assert "Excerpts that were shown" in page.text
    assert any(address.startswith("/ui/memory/") for address in page.addresses)


async def test_a_demonstrations_use_is_counted(operator: Operator, store: Store) -> None:
    used = store.curation.most_shown("default", 1)[0]
    uses = store.curation.uses("default", used.id, most=1000).rows
    assert used.episodes == len(uses) > 0
    assert used.shown == sum(use.shown for use in uses)
    receipts = [row for use in uses for row in store.decisions(use.episode_id)]
    shown = [
        row
        for row in receipts
        if row.step >= 0 and any(e["trajectory_id"] == used.id for e in row.body["excerpts"])
    ]
    assert used.shown == len(shown)
    page = (await operator.get(f"/memory/{used.id}")).text
    assert f"{used.episodes} episodes" in page
    assert set(links(page, "/episodes/")) == {f"/episodes/{use.episode_id}" for use in uses}


async def test_search_finds_by_words_and_by_meaning(operator: Operator, store: Store) -> None:
    goal = store.curation.demonstrations("default", environment="household").rows[0].goal
    by_words = await operator.get("/memory", text=goal[:12].upper(), status="")
    assert goal in Markup(by_words.text).text
    kept = store.curation.demonstrations("default", status="demonstration", environment="household").rows
    by_meaning = await operator.get("/memory", text=kept[0].goal, how="meaning", environment="household")
    assert links(by_meaning.text, "/memory/")[0] == f"/memory/{kept[0].id}"
    assert "similarity" in by_meaning.text


async def test_experiments_show_what_reports_show(operator: Operator, run: str) -> None:
    page = (await operator.get("/experiments", run=run)).text
    assert page.count("<svg") >= 1
    assert "On the Pareto front" in page
    assert 'role="img"' in page
    assert (await operator.get("/experiments", run="none")).status_code == 404


async def test_students_show_the_trial(operator: Operator) -> None:
    page = Markup((await operator.get("/students")).text).text
    assert "on trial" in page
    assert "Evidence that it is worse" in page


async def test_other_tenants_see_nothing_of_it(site: Site, store: Store, run: str) -> None:
    strategy = store.strategies.find("default")[0].id
    demonstration = store.curation.demonstrations("default").rows[0].id
    async with connect(site) as client:
        other = Operator(client)
        await other.sign_in(key=make_key(store, "shop").token)
        mine = links((await other.get("/episodes")).text, "/episodes/")
        assert sorted(mine) == [f"/episodes/shop-000{number}" for number in range(4)]
        assert run not in (await other.get("/")).text
        assert links((await other.get("/memory", status="")).text, "/memory/default") == []
        for path in (f"/episodes/{run}/copy", "/episodes/default-0001", f"/memory/{demonstration}"):
            assert (await other.get(path)).status_code == 404
        assert (await other.get(f"/strategies/{strategy}")).status_code == 404
        assert "only operators of the tenant default" in (await other.get("/experiments")).text
        assert "only operators of the tenant default" in (await other.get("/students")).text


async def test_what_was_erased_is_shown_nowhere(operator: Operator, store: Store, site: Site) -> None:
    from datetime import UTC, datetime

    said = store.figures.episode("default", "default-0001")
    assert said is not None
    assert said.goal in Markup((await operator.get("/episodes", text="default-0001")).text).text
    erase_episode(store, "default", "default-0001", datetime.now(UTC))
    for path in ("/episodes?text=default-0001", "/episodes/default-0001"):
        page = Markup((await operator.client.get(f"/ui{path}")).text).text
        assert said.goal not in page
    assert "Erased" in page


async def test_hostile_text_stays_text(tmp_path: Path) -> None:
    from hostile_store import grow_hostile

    grow_hostile(tmp_path / "hostile.db")
    with Store.open(tmp_path / "hostile.db") as store:
        site = open_site(store)
        assert site.link is not None
        async with connect(site) as client:
            operator = Operator(client)
            await operator.sign_in(link=site.link.token)
            run = next(row.id for row in store.runs() if "defaults" in row.config["conditions"])
            listed = await addresses(operator, "")
            assert len(listed) > 14
            for path in [*listed, None]:
                answer = await (
                    operator.get("/experiments", run=run) if path is None else client.get(f"/ui{path}")
                )
                assert answer.status_code in (200, 404), path
                markup = Markup(answer.text)
                assert markup.tags <= TAGS_OF_PAGES, path
                assert not {name for name in markup.attributes if name.startswith("on")}, path
                assert all(a.startswith(("/ui/", "#")) for a in markup.addresses), path
            page = Markup(
                (
                    await client.get(f"/ui{links((await operator.get('/episodes')).text, '/episodes/')[0]}")
                ).text
            )
            assert "<script>window.hacked = 1</script>" in page.text
            assert not re.search(r"\b49\b", page.text.partition("7 * 7")[2][:20])
        site.close()
