/*
 * dispatch: the handler for aarch64 ELF files in the build's private binfmt_misc (flags P, O, F).
 *
 * Runs the toolbox's native copy of a program when that is known to be the same program, and QEMU otherwise.
 * "Known to be the same": the opened file's size and SHA-256 stand in the table, which src/toolbox/dispatch.ts makes
 * from packages that have the same version in target and toolbox, and the table's rule allows it for these arguments.
 *
 * Everything it needs is below HOME, bind-mounted into the target's /run; QEMU is linked in as data, so that a nested
 * chroot without HOME still runs (from a memfd).
 *
 * A failure to start a native copy is reported on stderr and the program is emulated; what a started program returns
 * is its own result.
 *
 * Table format, text, one record a line, sorted by nothing:
 *   <size> <sha256> <rule> <path of the native copy below HOME>
 * rule: native | perl | arguments (native for the arguments that ARGUMENTS lists).
 */
#define _GNU_SOURCE
#include <elf.h>
#include <errno.h>
#include <fcntl.h>
#include <fnmatch.h>
#include <limits.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/auxv.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "sha256.h"

#ifndef HOME
#define HOME "/run/.toolbox"
#endif
#define ROOT HOME "/root"
#define TABLE HOME "/table"
#define QEMU HOME "/qemu"
#define LOADER ROOT "/lib64/ld-linux-x86-64.so.2"
#define LIBRARIES ROOT "/usr/lib/x86_64-linux-gnu:" ROOT "/usr/lib/x86_64-linux-gnu/systemd:" ROOT "/usr/lib"
#define PERL HOME "/perl"
#define ARGUMENTS HOME "/arguments"
#define APT HOME "/apt.conf"

extern char **environ;
extern const unsigned char qemu_start[];
extern const unsigned char qemu_end[];

struct entry {
  char rule[16];
  char path[PATH_MAX];
};

/* Maps a file that is open; NULL when it is empty or cannot be mapped. */
static const char *map(int fd, size_t size) {
  void *bytes = size > 0 ? mmap(NULL, size, PROT_READ, MAP_PRIVATE | MAP_POPULATE, fd, 0) : MAP_FAILED;
  return bytes == MAP_FAILED ? NULL : bytes;
}

/*
 * Finds the record of a file of this size and content. Reads the file only when some record has its size. This runs
 * before every program of the target, thousands of times in a build, so it looks at no more of a line than it has to.
 */
static int look_up(int fd, off_t size, struct entry *found) {
  struct stat status;
  int list = open(TABLE, O_RDONLY | O_CLOEXEC);
  if (list < 0) return 0;
  const char *table = fstat(list, &status) == 0 ? map(list, (size_t)status.st_size) : NULL;
  close(list);
  if (table == NULL) return 0;
  char digest[65] = "";
  const char *end = table + status.st_size, *next;
  for (const char *line = table; (next = memchr(line, '\n', (size_t)(end - line))) != NULL; line = next + 1) {
    long long entry_size = 0;
    const char *at = line;
    while (*at >= '0' && *at <= '9') entry_size = entry_size * 10 + (*at++ - '0');
    if (*at != ' ' || entry_size != (long long)size) continue;
    if (digest[0] == '\0') {
      const char *bytes = map(fd, (size_t)size);
      if (bytes == NULL) break;
      sha256_hex(bytes, (size_t)size, digest);
    }
    if (next - at < 66 || memcmp(at + 1, digest, 64) != 0) continue;
    char rest[PATH_MAX + 64];
    size_t length = (size_t)(next - at) - 65;
    if (length >= sizeof rest) continue;
    memcpy(rest, at + 65, length);
    rest[length] = '\0';
    if (sscanf(rest, " %15s %4095s", found->rule, found->path) == 2) return 1;
  }
  return 0;
}

/*
 * Whether the arguments, joined by spaces, fit one of the patterns for this program.
 * ARGUMENTS holds a line for each: <path of the native copy below HOME> TAB <pattern of fnmatch(3)>.
 */
static int allows(const char *path, int argc, char **argv) {
  char joined[4096];
  size_t used = 0;
  joined[0] = '\0';
  for (int i = 1; i < argc; i++) {
    int added = snprintf(joined + used, sizeof joined - used, "%s%s", i == 1 ? "" : " ", argv[i]);
    /* What is cut off may matter only to a pattern without a star at its end, which then does not fit. */
    if (added < 0 || used + (size_t)added >= sizeof joined) break;
    used += (size_t)added;
  }
  FILE *list = fopen(ARGUMENTS, "re");
  if (list == NULL) return 0;
  char line[PATH_MAX];
  int fits = 0;
  while (!fits && fgets(line, sizeof line, list) != NULL) {
    line[strcspn(line, "\n")] = '\0';
    char *pattern = strchr(line, '\t');
    if (pattern == NULL) continue;
    *pattern++ = '\0';
    fits = strcmp(line, path) == 0 && fnmatch(pattern, joined, 0) == 0;
  }
  fclose(list);
  return fits;
}

/*
 * perl's own module folders name its CPU. The toolbox's are given by -I, which children do not inherit, and each only
 * where the target has its counterpart: a module that the target lacks must not be found.
 * PERL holds a line for each: <folder in the target> <folder in the toolbox>.
 */
static int perl_includes(char **out, int room) {
  FILE *list = fopen(PERL, "re");
  if (list == NULL) return 0;
  char target[1024], own[1024];
  int count = 0;
  while (count < room && fscanf(list, "%1023s %1023s", target, own) == 2)
    if (access(target, R_OK) == 0 && asprintf(&out[count], "-I" ROOT "%s", own) > 0) count++;
  fclose(list);
  return count;
}

static void report(const struct entry *entry, const char *why) {
  dprintf(STDERR_FILENO, "dispatch: %s could not be started natively (%s); emulating it\n", entry->path, why);
}

/* argv here: [handler, path given to execve, argv[0] of the caller, arguments...]. Returns when nothing was started. */
static void run_native(const struct entry *entry, int argc, char **argv) {
  static char program[PATH_MAX];
  snprintf(program, sizeof program, HOME "/%.4000s", entry->path);
  if (access(program, R_OK) != 0) {
    report(entry, strerror(errno));
    return;
  }
  char **list = calloc((size_t)argc + 32, sizeof *list);
  if (list == NULL) return;
  int n = 0;
  list[n++] = LOADER;
  list[n++] = "--library-path";
  list[n++] = LIBRARIES;
  list[n++] = "--argv0";
  list[n++] = argv[2];
  list[n++] = program;
  if (strcmp(entry->rule, "perl") == 0) {
    int added = perl_includes(list + n, 16);
    if (added == 0) {
      report(entry, "its modules are not there");
      free(list);
      return;
    }
    n += added;
  }
  /* apt is compiled for its own CPU and has to be told another. */
  if (strncmp(entry->path, "root/usr/bin/apt", 16) == 0 || strncmp(entry->path, "root/usr/lib/apt/", 17) == 0)
    setenv("APT_CONFIG", APT, 0);
  for (int i = 3; i < argc; i++) list[n++] = argv[i];
  execve(LOADER, list, environ);
  report(entry, strerror(errno));
  free(list);
}

static void run_emulated(int argc, char **argv) {
  char **list = calloc((size_t)argc + 4, sizeof *list);
  if (list == NULL) return;
  int n = 0;
  list[n++] = "qemu-aarch64";
  list[n++] = "-0";
  list[n++] = argv[2];
  list[n++] = argv[1];
  for (int i = 3; i < argc; i++) list[n++] = argv[i];
  execve(QEMU, list, environ);
  /* A chroot inside the target has no HOME: take the copy linked in. */
  int memory = memfd_create("qemu-aarch64", MFD_CLOEXEC);
  if (memory < 0) return;
  const unsigned char *at = qemu_start;
  while (at < qemu_end) {
    ssize_t written = write(memory, at, (size_t)(qemu_end - at));
    if (written < 0 && errno == EINTR) continue;
    if (written <= 0) return;
    at += written;
  }
  fexecve(memory, list, environ);
}

int main(int argc, char **argv) {
  if (argc < 3) {
    dprintf(STDERR_FILENO, "dispatch: is started by the kernel for aarch64 programs, not by hand\n");
    return 126;
  }
  /* The kernel opened the file for us (flag O): its path may be relative, a link or /dev/fd/N. */
  unsigned long auxiliary = getauxval(AT_EXECFD);
  int fd = auxiliary > 0 ? (int)auxiliary : open(argv[1], O_RDONLY | O_CLOEXEC);
  struct stat status;
  struct entry entry;
  if (fd >= 0 && fstat(fd, &status) == 0 && S_ISREG(status.st_mode) && look_up(fd, status.st_size, &entry)) {
    if (strcmp(entry.rule, "arguments") != 0 || allows(entry.path, argc - 2, argv + 2)) {
      if (auxiliary > 0) close(fd);
      fd = -1;
      run_native(&entry, argc, argv);
    }
  }
  if (fd >= 0 && auxiliary > 0) fcntl(fd, F_SETFD, FD_CLOEXEC);
  run_emulated(argc, argv);
  dprintf(STDERR_FILENO, "dispatch: %s cannot be run: %s\n", argv[1], strerror(errno));
  return 126;
}
