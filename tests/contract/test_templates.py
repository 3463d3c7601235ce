"""Kinds of log lines: kept with what they were first seen in, found again by gauge, push and time."""

from dataclasses import replace
from datetime import timedelta

from tests.contract.conftest import LINE, NOW, OTHER

from leuko.domain.template import Template, appeared


def template(number, gauge="errors", **more):
    at = NOW + timedelta(minutes=number)
    said = f"boom number {number}"
    return Template(
        gauge, f"id{number}", said, f"<b>{said}</b> \u2028\x00"[:-1], at, at, 1, {"www1": 1}, **more
    )


async def test_what_it_was_first_seen_in_stays(store):
    first = template(1, push=7)
    later = replace(
        first,
        text="boom <*>",
        example="other",
        last_seen=NOW + timedelta(hours=1),
        seen=9,
        first_seen=NOW + timedelta(hours=1),
        hosts={"www1": 4, "www2": 5},
        push=8,
    )
    async with store.write(LINE) as tx:
        await store.templates.save(tx, [first, template(2)])
        await store.templates.save(tx, [later])
    known = await store.templates.of_gauge(LINE, "errors")
    kept = replace(later, example=first.example, first_seen=first.first_seen, push=7)
    assert known == [kept, template(2)]
    assert await store.templates.of_push(LINE, 7) == [kept]
    assert await store.templates.of_push(LINE, 8) == []
    assert await store.templates.of_gauge(OTHER, "errors") == []


async def test_the_newest_are_kept_and_found(store):
    async with store.write(LINE) as tx:
        await store.templates.save(tx, [template(n) for n in range(40)])
        await store.templates.save(tx, [template(n, "other") for n in range(3)])
        await store.templates.forget(tx, "errors", keep=5)
    assert [one.id for one in await store.templates.of_gauge(LINE, "errors")] == [
        f"id{n}" for n in range(35, 40)
    ]
    since = NOW + timedelta(minutes=38)
    assert [one.id for one in await store.templates.recent(LINE, since)] == ["id39", "id38"]
    assert len(await store.templates.recent(LINE, NOW, gauge="other")) == 3
    assert len(await store.templates.recent(LINE, NOW, limit=2)) == 2


def test_what_appeared_with_a_push():
    switched = {"www1": NOW + timedelta(minutes=5), "www2": None}
    before, mine, more = template(4, push=3), template(6, push=3), replace(template(7, push=3), seen=5)
    others = [template(8, push=2), template(8), replace(template(9, push=3), hosts={"www2": 1})]
    assert appeared([before, mine, more, *others], switched, 3) == [more, mine]
    assert appeared([mine], {"www1": None}, 3) == []
