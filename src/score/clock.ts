import type { Scene } from './figure.ts';
import { address, DEVICE } from './neighbour.ts';

/** The neighbour's number, as a server of time. */
const SERVER = address(4, DEVICE + 1);

const SERVE = `iptables -I INPUT -p udp --dport 123 -j ACCEPT
printf 'local stratum 5\\nallow\\ncmdport 0\\nbindcmdaddress /\\npidfile /run/score-time.pid\\nuser root\\n' >/run/score-time.conf
"$LOADER" --library-path "$LIBRARIES" /run/score/usr/sbin/chronyd -x -f /run/score-time.conf`;

// What root makes is not for others; timesyncd is one of them.
const ASK = `umask 022
mkdir -p /run/systemd/timesyncd.conf.d
printf '[Time]\\nNTP=\\nNTP=${SERVER}\\n' >/run/systemd/timesyncd.conf.d/zzz-score.conf
systemctl restart systemd-timesyncd
for i in $(seq 60); do [ -e /run/systemd/timesync/synchronized ] && exit; sleep 1; done
timedatectl timesync-status; exit 1`;

/** The cable has no server of time, as a site's network would: the neighbour is one, by chrony. */
export async function giveTime(scene: Pick<Scene, 'root' | 'neighbour'>): Promise<void> {
  const neighbour = await scene.neighbour();
  await neighbour.root(SERVE);
  await scene.root(ASK);
}
