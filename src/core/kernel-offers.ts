/**
 * A test for a shell on the device: whether its kernel was built without an option. A kernel whose list of options is
 * not there is taken for one that has it, so that what is missing is seen.
 */
export const builtWithout = (option: string): string =>
  `{ test -e /boot/config-$(uname -r) && ! grep -q ^${option}=y /boot/config-$(uname -r); }`;
