import { type Measure, nothingOf } from '../figure.ts';

/** Programs that run as somebody else for whoever starts them; the image's own audit has the same list. */
const SETUID = [
  '/usr/bin/chage',
  '/usr/bin/expiry',
  '/usr/bin/passwd',
  '/usr/bin/ssh-agent',
  '/usr/bin/su',
  '/usr/bin/sudo',
  '/usr/lib/dbus-1.0/dbus-daemon-launch-helper',
  '/usr/sbin/unix_chkpwd',
];

const TOOLS = 'cc c++ gcc g++ clang tcc as ld make gdb strace ltrace tcpdump nmap nc ncat socat objdump readelf';

export const files: Measure = {
  name: 'files',
  async run(scene) {
    const lines = (text: string): string[] => text.split('\n').filter((line) => line !== '');
    const setuid = lines(await scene.root('find / -xdev -type f -perm /6000'));
    const unknown = setuid.filter((path) => !SETUID.includes(path));
    const tools = lines(
      await scene.root(
        `for name in ${TOOLS}; do for folder in /usr/bin /usr/sbin /usr/local/bin; do [ ! -e $folder/$name ] || echo $folder/$name; done; done`,
      ),
    );
    return [
      {
        id: 'files/setuid',
        title: 'SUID and SGID files that are on no list',
        ...nothingOf(unknown),
        figure: `${unknown.length}, of ${setuid.length}`,
        tool: 'find',
      },
      { id: 'files/tools', title: 'Compilers, debuggers, sniffers', ...nothingOf(tools), tool: 'find' },
    ];
  },
};
