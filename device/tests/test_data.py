"""The card and the container, with real cryptsetup, age, resize2fs and mkfs. Opening needs the guest."""

from __future__ import annotations

import hashlib
import json
import subprocess
from pathlib import Path

import pytest
from conftest import FileCard, decrypt, offer

from amslpr_device import bundle, luks
from amslpr_device.context import Context, StepError, Waiting
from amslpr_device.disk import SECTOR, Partition, holds_container, read_table, write_entries
from amslpr_device.files import write_record
from amslpr_device.passwords import for_people
from amslpr_device.steps import data, data_open, partitions

# Real cryptsetup, age, databases, networks: with all others in ci/test, not before each commit.
pytestmark = pytest.mark.slow

GIBIBYTE = 1 << 30


def start_of(path: Path) -> bytes:
    """The first 32 MiB of a card or container: tables and headers. The rest is gigabytes of nothing."""
    with path.open('rb') as file:
        return file.read(32 << 20)


RECORD = 'data.json'


@pytest.mark.parametrize(
    ('card_gib', 'root_gib', 'data_gib'),
    [(4, 2.74, 1), (8, 3.2, 4.5), (16, 6.4, 9.3), (32, 8, 23.7), (256, 8, 247.7)],
)
def test_plan_of_partitions(card_gib: int, root_gib: float, data_gib: float) -> None:
    found = partitions.plan(card_gib * GIBIBYTE // SECTOR, Partition(532480, 2 * GIBIBYTE // SECTOR))
    assert found['root_sectors'] * SECTOR / GIBIBYTE == pytest.approx(root_gib, abs=0.05)
    assert found['data_sectors'] * SECTOR / GIBIBYTE == pytest.approx(data_gib, abs=0.1)
    assert found['data_start'] % partitions.ALIGN == 0
    assert found['root_start'] + found['root_sectors'] == found['data_start']


def test_a_card_that_is_too_small_is_refused_clearly() -> None:
    with pytest.raises(StepError, match=r'the card has 3\.0 GiB; data needs 1 GiB'):
        partitions.plan(3 * GIBIBYTE // SECTOR, Partition(532480, 2 * GIBIBYTE // SECTOR))


def test_partitions_grow_and_a_cut_after_the_plan_goes_on(
    ctx: Context, card: FileCard, monkeypatch: pytest.MonkeyPatch
) -> None:
    root = card.partition(2)
    # A sixteenth of everything, for speed.
    monkeypatch.setattr(partitions, 'GIBIBYTE', GIBIBYTE // 16)
    monkeypatch.setattr(partitions, 'LEAST_DATA', GIBIBYTE // 16)
    write_entries(card, {2: Partition(532480, 128 * 1024 * 1024 // SECTOR)})
    with card.path.open('r+b') as file:
        file.truncate(GIBIBYTE)
    subprocess.run(['mkfs.ext4', '-q', str(root), '128M'], check=True)

    def kernel(ctx: Context, disk: FileCard) -> None:
        table = read_table(disk)
        for number in (2, 4):
            with disk.partition(number).open('ab') as file:
                file.truncate(table[number].sectors * SECTOR)

    monkeypatch.setattr(partitions, 'tell_kernel', lambda ctx, disk: (_ for _ in ()).throw(StepError('cut')))
    with pytest.raises(StepError, match='cut'):
        partitions.make(ctx)
    assert not partitions.product_ok(ctx)
    monkeypatch.setattr(partitions, 'tell_kernel', kernel)
    partitions.make(ctx)
    assert partitions.product_ok(ctx)
    assert start_of(card.path)[440:444] == b'\x12\x34\x56\x78'
    assert sorted(read_table(card)) == [1, 2, 4]
    shown = subprocess.run(['sfdisk', '--json', str(card.path)], capture_output=True, check=True).stdout
    assert len(json.loads(shown)['partitiontable']['partitions']) == 3
    subprocess.run(['e2fsck', '-fn', str(root)], check=True, capture_output=True)
    assert partitions.file_system_bytes(root) == read_table(card)[2].sectors * SECTOR - partitions.RESERVE


def test_a_foreign_table_is_left_alone(ctx: Context, card: FileCard) -> None:
    write_entries(card, {3: Partition(4 << 20, 8192)})
    before = card.path.open('rb').read(SECTOR)
    with pytest.raises(StepError, match='not of this image'):
        partitions.make(ctx)
    assert card.path.open('rb').read(SECTOR) == before


def test_container_is_made_after_its_bundle(ctx: Context, container: Path, admin_key: Path) -> None:
    assert not data.product_ok(ctx)
    data.make(ctx)
    assert data.product_ok(ctx)
    secret = json.loads(decrypt(ctx, admin_key))
    assert luks.opens(ctx, container, secret['luks_recovery_key'].encode())
    assert luks.opens(ctx, container, ctx.key_file.read_bytes())
    assert not luks.opens(ctx, container, b'something else')
    assert ctx.key_file.stat().st_mode & 0o777 == 0o400
    dump = json.loads(
        subprocess.run(['cryptsetup', 'luksDump', '--dump-json-metadata', str(container)], capture_output=True).stdout
    )
    assert dump['segments']['0']['encryption'] == 'aes-xts-plain64'
    assert dump['segments']['0']['sector_size'] == 4096
    assert {slot['kdf']['type'] for slot in dump['keyslots'].values()} == {'pbkdf2'}
    kept = (ctx.state / RECORD).read_text()
    for text in (secret['luks_recovery_key'], secret['application_admin_password'], *secret['sudo_passwords'].values()):
        assert text not in kept


@pytest.mark.parametrize('cut', ['bundle', 'format', 'second key', 'file system'])
def test_a_cut_before_live_starts_again_with_new_secrets(
    ctx: Context, container: Path, admin_key: Path, cut: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    def power(*arguments: object, **options: object) -> None:
        raise KeyboardInterrupt

    place = {
        'bundle': (bundle, 'store'),
        'format': (luks, 'format_container'),
        'second key': (luks, 'add_key'),
        'file system': (luks, 'open_container'),
    }[cut]
    with monkeypatch.context() as patch:
        patch.setattr(*place, power)
        with pytest.raises(KeyboardInterrupt):
            data.make(ctx)
    own = ctx.remember(RECORD)['uuid']
    assert not data.product_ok(ctx)
    data.make(ctx)
    assert data.product_ok(ctx)
    assert ctx.remember(RECORD)['uuid'] == own
    secret = json.loads(decrypt(ctx, admin_key))
    assert luks.opens(ctx, container, secret['luks_recovery_key'].encode())
    dump = json.loads(
        subprocess.run(['cryptsetup', 'luksDump', '--dump-json-metadata', str(container)], capture_output=True).stdout
    )
    assert len(dump['keyslots']) == 2


@pytest.mark.parametrize('torn', [512, 4096, 'first only', 'second only'])
def test_a_torn_header_of_our_own_is_made_again(ctx: Context, container: Path, torn: int | str) -> None:
    """What a cut inside luksFormat leaves: cryptsetup can read none of it."""
    data.make(ctx)
    record = ctx.remember(RECORD)
    write_record(ctx.state / RECORD, {**record, 'state': 'intended'})
    head = start_of(container)[: 8 << 20]
    with container.open('r+b') as file:
        file.write(b'\0' * len(head))
        file.seek(0x4000 if torn == 'second only' else 0)
        at = file.tell()
        file.write(head[at : at + (torn if isinstance(torn, int) else 4096)])
    data.make(ctx)
    assert data.product_ok(ctx)
    assert ctx.remember(RECORD)['uuid'] == record['uuid']


def test_a_foreign_container_is_never_touched(ctx: Context, container: Path) -> None:
    format_new = [
        'cryptsetup',
        'luksFormat',
        '-q',
        '--type',
        'luks2',
        '--pbkdf',
        'pbkdf2',
        '--pbkdf-force-iterations',
        '1000',
    ]
    subprocess.run([*format_new, '--key-file', '-', str(container)], input=b'theirs', check=True)
    before = start_of(container)
    with pytest.raises(Waiting, match='of an earlier device'):
        data.make(ctx)
    assert start_of(container) == before
    assert not ctx.remember(RECORD)
    ctx.site['data'] = {'existing': 'erase'}
    data.make(ctx)
    assert data.product_ok(ctx)
    assert not luks.opens(ctx, container, b'theirs')


def test_a_container_whose_first_header_is_gone_is_noticed(ctx: Context, container: Path) -> None:
    data.make(ctx)
    with container.open('r+b') as file:
        file.write(b'\0' * 4096)
    assert holds_container(container)


def test_a_passphrase_is_waited_for_and_then_used(ctx: Context, container: Path, admin_key: Path) -> None:
    offer(ctx, admin_key, 'passphrase')
    with pytest.raises(Waiting, match='no passphrase yet'):
        data.make(ctx)
    assert bundle.newest(ctx) is None
    data.passphrase_file(ctx).write_bytes(b'correct horse battery')
    data.make(ctx)
    assert luks.opens(ctx, container, b'correct horse battery')
    assert not ctx.key_file.exists()
    dump = json.loads(
        subprocess.run(['cryptsetup', 'luksDump', '--dump-json-metadata', str(container)], capture_output=True).stdout
    )
    kdf = {slot['kdf']['type']: slot['kdf'] for slot in dump['keyslots'].values()}
    assert kdf['argon2id']['memory'] == 128 * 1024


def test_without_aes_the_cipher_is_adiantum(ctx: Context) -> None:
    ctx.at('/proc/cpuinfo').write_text('Features : fp asimd crc32\n')
    assert ['xchacha12' in ' '.join(one) for one in luks.ciphers(ctx)] == [True, False]


def test_slots_take_turns_and_a_torn_one_does_not_count(ctx: Context) -> None:
    for generation in (1, 2, 3):
        bundle.store(ctx, generation, f'bundle {generation}\n'.encode())
    assert bundle.newest(ctx) == (3, b'bundle 3\n')
    assert {slot[0] for slot in bundle.slots(ctx).values()} == {2, 3}
    torn = ctx.boot / next(name for name, slot in bundle.slots(ctx).items() if slot[0] == 3)
    raw = bytearray(torn.read_bytes())
    raw[raw.index(b'bundle 3')] ^= 1
    torn.write_bytes(raw)
    assert bundle.newest(ctx) == (2, b'bundle 2\n')


def test_passwords_differ_and_are_long_enough() -> None:
    made = {for_people() for _ in range(100)}
    assert len(made) == 100
    assert all(len(one) == 24 for one in made)


def test_a_file_system_that_cannot_be_mended_is_left_alone_with_a_way_out(ctx: Context) -> None:
    ctx.mapped.write_bytes(b'\0' * (16 << 20))
    subprocess.run(['mkfs.ext4', '-q', str(ctx.mapped)], check=True)
    with ctx.mapped.open('r+b') as file:
        # Superblock, descriptors, and the inodes of the root.
        file.write(b'\xa5' * (4 << 20))
    before = ctx.mapped.read_bytes()
    with pytest.raises(StepError, match='cannot be mounted: e2fsck failed') as raised:
        data_open.mount(ctx)
    assert 'e2fsck -fy /dev/mapper/amslpr-data' in raised.value.hint
    assert ctx.mapped.read_bytes() == before


def test_a_file_system_that_lost_its_beginning_can_be_mended(ctx: Context) -> None:
    with ctx.mapped.open('wb') as file:
        file.truncate(1 << 30)
    data.make_file_system(ctx)
    with ctx.mapped.open('r+b') as file:
        file.write(hashlib.shake_256(b'wrecked').digest(48 << 20))
    mended = subprocess.run(['e2fsck', '-fy', str(ctx.mapped)], capture_output=True, check=False)
    assert mended.returncode == 1
    assert ctx.mapped.stat().st_size == 1 << 30
    subprocess.run(['e2fsck', '-fn', str(ctx.mapped)], capture_output=True, check=True)
