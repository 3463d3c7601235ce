"""What was read from hosts' logs is kept for a while only; other intents stay."""

from datetime import timedelta

from tests.contract.conftest import LINE, NOW

from leuko.domain.intent import Intent, IntentKind, IntentState


async def test_only_answered_ones_of_that_kind_are_dropped(store):
    async def asked(kind, answered_at):
        intent = Intent(0, kind, "ann", "", NOW, NOW + timedelta(minutes=1))
        async with store.write(LINE) as tx:
            intent = await store.intents.add(tx, intent)
            if answered_at is not None:
                accepted = IntentState.ACCEPTED
                await store.intents.answer(tx, intent.id, accepted, {"lines": []}, answered_at)
        return intent.id

    old, late = NOW - timedelta(hours=1), NOW - timedelta(minutes=1)
    gone = await asked(IntentKind.READ, old)
    kept = [
        await asked(IntentKind.READ, late),
        await asked(IntentKind.READ, None),
        await asked(IntentKind.POKE, old),
    ]
    async with store.write(LINE) as tx:
        await store.intents.forget(tx, IntentKind.READ, NOW - timedelta(minutes=15))
    assert await store.intents.get(LINE, gone) is None
    assert sorted(one.id for one in await store.intents.recent(LINE)) == kept
