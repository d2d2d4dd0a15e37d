/** A program for `python3 -c` that listens, and calls itself nginx: a name that a program gives itself proves nothing. */
export const listener = (type: 'SOCK_STREAM' | 'SOCK_DGRAM', port: number): string =>
  [
    'import socket, time',
    'open("/proc/self/comm", "w").write("nginx")',
    `s = socket.socket(socket.AF_INET, socket.${type})`,
    `s.bind(("0.0.0.0", ${port}))`,
    ...(type === 'SOCK_STREAM' ? ['s.listen()'] : []),
    'time.sleep(100000)',
  ].join('; ');
