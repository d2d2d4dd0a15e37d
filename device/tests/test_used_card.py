"""A card that another device used before: noticed, named, kept, erased or adopted, with real cryptsetup and age."""

from __future__ import annotations

import json
import shutil
import subprocess
from pathlib import Path

import pytest
from conftest import FileCard, decrypt, offer

from amslpr_device import adopt, bundle, luks, service, used_card
from amslpr_device.context import Context, StepError, Waiting
from amslpr_device.disk import SECTOR, Partition, container_uuid, read_table, write_entries
from amslpr_device.steps import data, partitions

# Real cryptsetup, age, databases, networks: with all others in ci/test, not before each commit.
pytestmark = pytest.mark.slow

MIB = 1 << 20
PLACE = 532480 + (3 << 30) // SECTOR // used_card.ALIGN * used_card.ALIGN
DATA = Partition(-(-PLACE // used_card.ALIGN) * used_card.ALIGN, (512 << 20) // SECTOR)


def put_container(card: FileCard, start: int, label: str = 'amslpr-data', owner: str = 'gate-old') -> str:
    """A container at a place of the card; gives its UUID."""
    path = card.path.with_name('made')
    with path.open('wb') as file:
        file.truncate(32 * MIB)
    make = ['cryptsetup', 'luksFormat', '-q', '--type', 'luks2', '--label', label, '--subsystem', owner]
    fast = ['--pbkdf', 'pbkdf2', '--pbkdf-force-iterations', '1000', '--key-file', '-']
    subprocess.run([*make, *fast, str(path)], input=b'theirs', check=True)
    with card.path.open('r+b') as disk, path.open('rb') as made:
        disk.seek(start * SECTOR)
        disk.write(made.read(16 * MIB))
    uuid = subprocess.run(['cryptsetup', 'luksUUID', str(path)], capture_output=True, check=True).stdout.decode()
    path.unlink()
    return uuid.strip()


def lose_entry(card: FileCard) -> None:
    """What another program leaves that writes an image over the table."""
    with card.path.open('r+b') as disk:
        disk.seek(446 + 48)
        disk.write(b'\0' * 16)


def at(card: FileCard, start: int, size: int = 16 * MIB) -> bytes:
    """Bytes of the card."""
    with card.path.open('rb') as disk:
        disk.seek(start * SECTOR)
        return disk.read(size)


def choose(ctx: Context, card: FileCard, existing: str | None) -> dict[str, object]:
    """The plan that the device makes, by the site's word."""
    ctx.site.pop('data', None)
    if existing is not None:
        ctx.site['data'] = {'existing': existing}
    return partitions.choose(ctx, card, read_table(card))


@pytest.mark.parametrize('in_table', [True, False], ids=['in the table', 'table overwritten'])
@pytest.mark.parametrize('first_header', [True, False], ids=['whole', 'first header gone'])
def test_old_data_is_noticed_and_named_before_anything_is_written(
    ctx: Context, card: FileCard, in_table: bool, first_header: bool
) -> None:
    uuid = put_container(card, DATA.start)
    if not first_header:
        with card.path.open('r+b') as disk:
            disk.seek(DATA.start * SECTOR)
            disk.write(b'\0' * 4096)
    if in_table:
        write_entries(card, {4: DATA})
    before = at(card, DATA.start), at(card, 0, SECTOR)
    for existing in (None, 'keep'):
        with pytest.raises(
            Waiting, match=f'encrypted data of gate-old .container {uuid}, .*of an earlier device'
        ) as told:
            choose(ctx, card, existing)
        assert '`data: existing: adopt`' in told.value.hint
    with pytest.raises(Waiting):
        partitions.make(ctx)
    assert (at(card, DATA.start), at(card, 0, SECTOR)) == before
    assert not (ctx.state / partitions.RECORD).exists()


def test_adopting_leaves_the_data_where_it_is(ctx: Context, card: FileCard) -> None:
    put_container(card, DATA.start)
    write_entries(card, {4: DATA})
    plan = choose(ctx, card, 'adopt')
    assert (plan['data_start'], plan['data_sectors']) == (DATA.start, DATA.sectors)
    assert plan['root_sectors'] == DATA.start - 532480
    # Without an entry, its end is the card's, where every device of ours puts it.
    lose_entry(card)
    plan = choose(ctx, card, 'adopt')
    assert plan['data_start'] == DATA.start
    assert plan['data_sectors'] == card.sectors() // used_card.ALIGN * used_card.ALIGN - DATA.start


def test_what_cannot_be_adopted_is_refused(ctx: Context, card: FileCard) -> None:
    with pytest.raises(Waiting, match='no earlier device left data'):
        choose(ctx, card, 'adopt')
    root_end = read_table(card)[2].end
    put_container(card, root_end)
    write_entries(card, {4: Partition(root_end, 8192)})
    with pytest.raises(StepError, match='the new system reaches into the place of'):
        choose(ctx, card, 'adopt')
    put_container(card, DATA.start)
    write_entries(card, {4: Partition(DATA.start, card.sectors())})
    with pytest.raises(StepError, match='the card ends before'):
        choose(ctx, card, 'adopt')
    lose_entry(card)
    put_container(card, DATA.start + used_card.ALIGN * 8, owner='gate-other')
    with pytest.raises(StepError, match='which to adopt is not clear'):
        choose(ctx, card, 'adopt')


def test_erasing_overwrites_what_opens_the_old_data(
    ctx: Context, card: FileCard, monkeypatch: pytest.MonkeyPatch
) -> None:
    put_container(card, DATA.start)
    ctx.site['data'] = {'existing': 'erase'}
    monkeypatch.setattr(partitions, 'tell_kernel', lambda ctx, disk: (_ for _ in ()).throw(KeyboardInterrupt))
    write = partitions.write_entries
    # A cut before the table is written: the next run overwrites again.
    monkeypatch.setattr(partitions, 'write_entries', lambda *rest: (_ for _ in ()).throw(KeyboardInterrupt))
    monkeypatch.setattr(used_card, 'erase', lambda *rest: None)
    with pytest.raises(KeyboardInterrupt):
        partitions.make(ctx)
    assert any(at(card, DATA.start))
    monkeypatch.undo()
    monkeypatch.setattr(partitions, 'find_card', lambda ctx: card)
    monkeypatch.setattr(partitions, 'write_entries', write)
    monkeypatch.setattr(partitions, 'tell_kernel', lambda ctx, disk: (_ for _ in ()).throw(KeyboardInterrupt))
    with pytest.raises(KeyboardInterrupt):
        partitions.make(ctx)
    assert not any(at(card, DATA.start))
    assert sorted(read_table(card)) == [1, 2, 4]


def test_a_device_with_data_erases_nothing_more(ctx: Context, card: FileCard, monkeypatch: pytest.MonkeyPatch) -> None:
    put_container(card, DATA.start)
    ctx.site['data'] = {'existing': 'erase'}
    (ctx.state / partitions.RECORD).write_text(json.dumps(partitions.choose(ctx, card, read_table(card))))
    (ctx.state / 'data.json').write_text('{"state": "live"}')
    before = at(card, DATA.start)
    monkeypatch.setattr(partitions, 'tell_kernel', lambda ctx, disk: (_ for _ in ()).throw(KeyboardInterrupt))
    with pytest.raises(KeyboardInterrupt):
        partitions.make(ctx)
    assert at(card, DATA.start) == before


def test_containers_of_others_are_not_taken_for_ours(ctx: Context, card: FileCard) -> None:
    put_container(card, DATA.start, label='somebody')
    assert used_card.find(card, read_table(card)) == []


@pytest.fixture
def old(ctx: Context, container: Path, admin_key: Path) -> tuple[Path, dict[str, str]]:
    """A container of an earlier device, its bundle in hand, below a system that was written anew."""
    data.make(ctx)
    secret = json.loads(decrypt(ctx, admin_key))
    shutil.rmtree(ctx.state)
    ctx.state.mkdir(mode=0o700)
    for name in bundle.SLOTS:
        (ctx.boot / name).write_bytes(b'\n' * 16384)
    ctx.site['data'] = {'existing': 'adopt'}
    return container, secret


def keys(path: Path) -> int:
    """How many slots are in use."""
    return len(adopt.slots(Context(), path))


def give(ctx: Context, secret: str) -> None:
    """What a person types."""
    data.passphrase_file(ctx).write_bytes(secret.encode())


def test_adopting_takes_a_key_of_the_old_data_and_makes_new_ones(
    ctx: Context, old: tuple[Path, dict[str, str]], admin_key: Path
) -> None:
    container, before = old
    with pytest.raises(
        Waiting, match=f'{before["container"]} of gate-north with 2 keys, which this device shall adopt'
    ):
        data.make(ctx)
    assert service.facts(ctx)['data'] == 'to adopt'
    assert bundle.newest(ctx) is None
    give(ctx, 'aaaa-' * 12 + 'aaaa')
    with pytest.raises(Waiting, match='did not open'):
        data.make(ctx)
    assert not data.passphrase_file(ctx).exists()
    assert bundle.newest(ctx) is None
    give(ctx, before['luks_recovery_key'])
    data.make(ctx)
    assert data.product_ok(ctx)
    after = json.loads(decrypt(ctx, admin_key))
    assert after['container'] == before['container'] == container_uuid(ctx, container)
    assert after['note'] == adopt.NOTE
    assert luks.opens(ctx, container, after['luks_recovery_key'].encode())
    assert luks.opens(ctx, container, ctx.key_file.read_bytes())
    assert not luks.opens(ctx, container, before['luks_recovery_key'].encode())
    assert keys(container) == 2
    assert not data.passphrase_file(ctx).exists()
    assert ctx.remember('data.json')['sudo'].keys() == {'alex'}


@pytest.mark.parametrize('cut', ['store', 'add_key', 'new_key', 'record', 'drop', 'half dropped'])
def test_a_cut_while_adopting_leaves_a_key_that_somebody_has(
    ctx: Context, old: tuple[Path, dict[str, str]], admin_key: Path, cut: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    container, before = old

    def power(*arguments: object, **options: object) -> None:
        raise KeyboardInterrupt

    give(ctx, before['luks_recovery_key'])
    run = Context.run
    with monkeypatch.context() as patch:
        if cut == 'record':
            patch.setattr(data, 'write_record', power)
        elif cut == 'half dropped':
            patch.setattr(adopt, 'write_record', lambda path, record: record.get('state') == 'live' and power())
        elif cut == 'drop':
            stop = lambda self, words, **more: power() if 'luksKillSlot' in words else run(self, words, **more)  # noqa: E731
            patch.setattr(Context, 'run', stop)
        else:
            from amslpr_device import unlock

            patch.setattr({'store': bundle, 'add_key': luks, 'new_key': unlock}[cut], cut, power)
        with pytest.raises(KeyboardInterrupt):
            data.make(ctx)
    assert not data.product_ok(ctx)
    data.passphrase_file(ctx).unlink(missing_ok=True)
    if ctx.remember('data.json').get('state') != 'live':
        # The person has not been told that it is done, and still has the key that was given.
        give(ctx, before['luks_recovery_key'])
    data.make(ctx)
    assert data.product_ok(ctx)
    after = json.loads(decrypt(ctx, admin_key))
    assert luks.opens(ctx, container, after['luks_recovery_key'].encode())
    assert luks.opens(ctx, container, ctx.key_file.read_bytes())
    assert not luks.opens(ctx, container, before['luks_recovery_key'].encode())
    assert keys(container) == 2
    assert container_uuid(ctx, container) == before['container']


@pytest.mark.parametrize('given', ['recovery key', 'passphrase'])
def test_adopting_for_a_passphrase(ctx: Context, old: tuple[Path, dict[str, str]], admin_key: Path, given: str) -> None:
    container, before = old
    offer(ctx, admin_key, 'passphrase')
    ctx.site['data'] = {'existing': 'adopt'}
    passphrase = b'correct horse battery'
    luks.add_key(ctx, container, before['luks_recovery_key'].encode(), passphrase, luks.RANDOM_KEY)
    give(ctx, before['luks_recovery_key'] if given == 'recovery key' else passphrase.decode())
    data.make(ctx)
    assert data.product_ok(ctx)
    new = json.loads(decrypt(ctx, admin_key))['luks_recovery_key'].encode()
    assert luks.opens(ctx, container, new)
    assert luks.opens(ctx, container, passphrase)
    assert not luks.opens(ctx, container, before['luks_recovery_key'].encode())
    # What opens it next, at this start.
    assert data.passphrase_file(ctx).read_bytes() == (new if given == 'recovery key' else passphrase)


def test_a_torn_container_cannot_be_adopted(ctx: Context, old: tuple[Path, dict[str, str]]) -> None:
    container, _ = old
    with container.open('r+b') as file:
        file.seek(512)
        file.write(b'x' * 4096)
        file.seek(0x4000 + 512)
        file.write(b'x' * 4096)
    with pytest.raises(StepError, match='cannot be adopted'):
        data.make(ctx)


def test_the_site_may_still_decide_otherwise(ctx: Context, old: tuple[Path, dict[str, str]]) -> None:
    container, before = old
    with pytest.raises(Waiting):
        data.make(ctx)
    ctx.site['data'] = {'existing': 'keep'}
    with pytest.raises(Waiting, match='of an earlier device'):
        data.make(ctx)
    assert luks.opens(ctx, container, before['luks_recovery_key'].encode())
    ctx.site['data'] = {'existing': 'erase'}
    data.make(ctx)
    assert data.product_ok(ctx)
    assert container_uuid(ctx, container) != before['container']


def test_a_key_for_adopting_is_taken_by_unlock(ctx: Context, old: tuple[Path, dict[str, str]]) -> None:
    """The service refuses secrets for data that is not made; here it has to take one."""
    with pytest.raises(Waiting):
        data.make(ctx)
    assert service.asked_for(service.facts(ctx)) == 'recovery key of the earlier device'
    (ctx.state / 'site.yaml').write_bytes((ctx.boot / 'site.yaml').read_bytes())
    _, told = service.answer(ctx, 'unlock', 'short')
    assert 'has 12 to 512 bytes' in told
