/*
 * ext4-tar IMAGE OFFSET SIZE [-b|-u]
 *
 * Writes the ext4 file system that starts at byte OFFSET of the file IMAGE and may reach over SIZE bytes to standard
 * output, as a POSIX pax archive: names below "./", sorted; numeric owners; all mode bits; hard links; devices;
 * extended attributes; times in nanoseconds; files with large holes in GNU's sparse format 1.0. Two file systems with
 * the same content give the same bytes. The image is only ever read.
 *
 * -b writes extended attributes in base64 (LIBARCHIVE.xattr.*) for readers that take pax values for text; the default
 *    is the raw form (SCHILY.xattr.*). ACLs are also written as text (SCHILY.acl.*), which is what GNU tar reads.
 * -u leaves out what cannot be made without privileges, device files, each outside ./dev named on standard error, and
 *    fails on owners above 65535, which no unprivileged namespace has.
 *
 * Exit code 0: complete. 1: not ext4, damaged or truncated, with one line on standard error; what was written until
 * then must be thrown away. 2: usage. Sockets can't be archived; each is named on standard error.
 *
 * Build: cc -O2 -o ext4-tar ext4-tar.c -lext2fs -lcom_err
 */
#define _GNU_SOURCE
#define _FILE_OFFSET_BITS 64
#include <errno.h>
#include <ext2fs/ext2fs.h>
#include <fcntl.h>
#include <inttypes.h>
#include <signal.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

enum {
  TAR_BLOCK = 512,
  OUTPUT_BUFFER = 1 << 20,
  MAX_DEPTH = 2048,       /* deeper than PATH_MAX allows */
  MAX_SYMLINK = 65536,    /* a symlink's text fits one block */
  STALL_SECONDS = 120,
  MAX_ID = 65535,         /* an unprivileged namespace maps so many */
};
/* Smaller holes are written as zeros: readers without sparse support then see ordinary files. */
static const uint64_t SPARSE_HOLE = 1 << 20;

struct run {
  uint64_t logical, physical, count; /* in blocks */
};

struct runs {
  struct run *list;
  size_t length, room;
};

struct seen {
  ext2_ino_t ino;
  char *path;
};

static ext2_filsys fs;
static int image;
static uint64_t image_offset;
static bool base64_xattrs;
static bool unprivileged;
static const char *current = ".";

static uint64_t blocks_left; /* every block belongs to one file at most, which bounds all loops over data */
static uint64_t zeros_left;
static uint64_t entries_left;
static unsigned char *directory_seen; /* one bit an inode */
static struct seen *links;
static size_t links_used, links_room;

static unsigned char output[OUTPUT_BUFFER];
static size_t output_used;

__attribute__((noreturn, format(printf, 1, 2))) static void fail(const char *format, ...)
{
  va_list arguments;
  va_start(arguments, format);
  fprintf(stderr, "ext4-tar: ");
  vfprintf(stderr, format, arguments);
  fputc('\n', stderr);
  va_end(arguments);
  _exit(1);
}

static void check(errcode_t code, const char *what)
{
  if (code)
    fail("%s: %s: %s", current, what, error_message(code));
}

static void stalled(int signal_number)
{
  (void)signal_number;
  static const char text[] = "ext4-tar: no progress: the file system's structures lead in circles\n";
  if (write(STDERR_FILENO, text, sizeof text - 1)) {}
  _exit(1);
}

static void *must(void *memory)
{
  if (memory == NULL)
    fail("out of memory");
  return memory;
}

/* ---- output -------------------------------------------------------------------------------------------------- */

static void flush(void)
{
  alarm(0); /* a slow reader is no stall */
  for (size_t done = 0; done < output_used;) {
    ssize_t written = write(STDOUT_FILENO, output + done, output_used - done);
    if (written < 0 && errno != EINTR)
      fail("writing: %s", strerror(errno));
    if (written > 0)
      done += (size_t)written;
  }
  output_used = 0;
  alarm(STALL_SECONDS);
}

static void put(const void *data, size_t size)
{
  const unsigned char *from = data;
  while (size > 0) {
    size_t part = OUTPUT_BUFFER - output_used < size ? OUTPUT_BUFFER - output_used : size;
    memcpy(output + output_used, from, part);
    output_used += part;
    from += part;
    size -= part;
    if (output_used == OUTPUT_BUFFER)
      flush();
  }
}

static void put_zeros(uint64_t size)
{
  static const unsigned char zeros[16384];
  for (; size > sizeof zeros; size -= sizeof zeros)
    put(zeros, sizeof zeros);
  put(zeros, size);
}

static void pad(uint64_t size)
{
  put_zeros((TAR_BLOCK - size % TAR_BLOCK) % TAR_BLOCK);
}

/* ---- growing bytes, for pax records -------------------------------------------------------------------------- */

struct bytes {
  char *data;
  size_t length, room;
};

static void append(struct bytes *to, const void *data, size_t size)
{
  if (to->room - to->length < size) {
    to->room = (to->length + size) * 2 + 256;
    to->data = must(realloc(to->data, to->room));
  }
  if (size > 0)
    memcpy(to->data + to->length, data, size);
  to->length += size;
}

static void append_text(struct bytes *to, const char *text)
{
  append(to, text, strlen(text));
}

/* "LENGTH KEY=VALUE\n", where LENGTH counts itself. */
static void pax(struct bytes *to, const char *key, const void *value, size_t size)
{
  size_t body = strlen(key) + size + 3, total = body + 1;
  for (;;) {
    size_t digits = (size_t)snprintf(NULL, 0, "%zu", total);
    if (total == body + digits)
      break;
    total = body + digits;
  }
  char number[32];
  snprintf(number, sizeof number, "%zu ", total);
  append_text(to, number);
  append_text(to, key);
  append(to, "=", 1);
  append(to, value, size);
  append(to, "\n", 1);
}

static void pax_text(struct bytes *to, const char *key, const char *value)
{
  pax(to, key, value, strlen(value));
}

static void pax_number(struct bytes *to, const char *key, uint64_t value)
{
  char text[32];
  snprintf(text, sizeof text, "%" PRIu64, value);
  pax_text(to, key, text);
}

/* ---- headers ------------------------------------------------------------------------------------------------- */

struct entry {
  const char *name, *link;
  char type;
  unsigned mode, major, minor;
  uint32_t uid, gid;
  uint64_t size;
  int64_t seconds;
  uint32_t nanoseconds;
};

/* True when the number fitted; otherwise the field is zero and a pax record has to carry it. */
static bool octal(char *field, size_t width, uint64_t value)
{
  bool fits = value >> (3 * (width - 1)) == 0;
  snprintf(field, width, "%0*" PRIo64, (int)width - 1, fits ? value : 0);
  return fits;
}

static void put_header(const struct entry *entry)
{
  char header[TAR_BLOCK] = {0};
  memcpy(header, entry->name, strnlen(entry->name, 100));
  octal(header + 100, 8, entry->mode);
  octal(header + 108, 8, entry->uid);
  octal(header + 116, 8, entry->gid);
  octal(header + 124, 12, entry->size);
  octal(header + 136, 12, entry->seconds < 0 ? 0 : (uint64_t)entry->seconds);
  memset(header + 148, ' ', 8);
  header[156] = entry->type;
  if (entry->link != NULL)
    memcpy(header + 157, entry->link, strnlen(entry->link, 100));
  memcpy(header + 257, "ustar\0" "00", 8);
  octal(header + 329, 8, entry->major);
  octal(header + 337, 8, entry->minor);
  unsigned sum = 0;
  for (size_t i = 0; i < sizeof header; i++)
    sum += (unsigned char)header[i];
  snprintf(header + 148, 8, "%06o", sum);
  header[155] = ' ';
  put(header, sizeof header);
}

static void put_entry(const struct entry *entry, struct bytes *records)
{
  char unused[12];
  if (strlen(entry->name) > 100)
    pax_text(records, "path", entry->name);
  if (entry->link != NULL && strlen(entry->link) > 100)
    pax_text(records, "linkpath", entry->link);
  if (!octal(unused, 12, entry->size))
    pax_number(records, "size", entry->size);
  if (!octal(unused, 8, entry->uid))
    pax_number(records, "uid", entry->uid);
  if (!octal(unused, 8, entry->gid))
    pax_number(records, "gid", entry->gid);
  if (entry->nanoseconds != 0 || entry->seconds < 0 || !octal(unused, 12, (uint64_t)entry->seconds)) {
    /* As a decimal fraction: -1.75 is second -2 plus 250,000,000 ns. */
    bool negative = entry->seconds < 0 && entry->nanoseconds != 0;
    int64_t seconds = negative ? entry->seconds + 1 : entry->seconds;
    uint32_t fraction = negative ? 1000000000 - entry->nanoseconds : entry->nanoseconds;
    char text[64];
    snprintf(text, sizeof text, "%s%" PRId64, negative && seconds == 0 ? "-" : "", seconds);
    if (fraction != 0)
      snprintf(text + strlen(text), sizeof text - strlen(text), ".%09" PRIu32, fraction);
    pax_text(records, "mtime", text);
  }
  if (records->length > 0) {
    const struct entry extension = {.name = "./PaxHeaders/entry", .type = 'x', .mode = 0644, .size = records->length};
    put_header(&extension);
    put(records->data, records->length);
    pad(records->length);
  }
  put_header(entry);
}

/* ---- extended attributes ------------------------------------------------------------------------------------- */

struct attribute {
  char *name, *value;
  size_t size;
};

struct attributes {
  struct attribute *list;
  size_t length;
};

static int collect_attribute(char *name, char *value, size_t size, void *data)
{
  struct attributes *all = data;
  if (strcmp(name, "system.data") == 0) /* where ext4 keeps the end of an inline file */
    return 0;
  all->list = must(realloc(all->list, (all->length + 1) * sizeof *all->list));
  struct attribute *new = &all->list[all->length++];
  new->name = must(strdup(name));
  new->value = must(malloc(size + 1));
  if (size > 0)
    memcpy(new->value, value, size);
  new->size = size;
  return 0;
}

static int by_attribute_name(const void *a, const void *b)
{
  return strcmp(((const struct attribute *)a)->name, ((const struct attribute *)b)->name);
}

static void append_base64(struct bytes *to, const unsigned char *data, size_t size)
{
  static const char digits[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
  for (size_t i = 0; i < size; i += 3) {
    size_t have = size - i < 3 ? size - i : 3;
    uint32_t word = (uint32_t)data[i] << 16 | (have > 1 ? (uint32_t)data[i + 1] << 8 : 0) | (have > 2 ? data[i + 2] : 0);
    /* Without padding, as libarchive writes it. */
    for (size_t n = 0; n <= have; n++)
      append(to, &digits[word >> (18 - 6 * n) & 63], 1);
  }
}

/* "%" and "=" would end a pax key early. */
static char *attribute_key(const char *prefix, const char *name)
{
  struct bytes key = {0};
  append_text(&key, prefix);
  for (; *name != '\0'; name++) {
    char escaped[4];
    if (*name == '%' || *name == '=') {
      snprintf(escaped, sizeof escaped, "%%%02X", (unsigned char)*name);
      append_text(&key, escaped);
    } else {
      append(&key, name, 1);
    }
  }
  append(&key, "", 1);
  return key.data;
}

static uint32_t little(const unsigned char *at, int size)
{
  uint32_t value = 0;
  for (int i = 0; i < size; i++)
    value |= (uint32_t)at[i] << (8 * i);
  return value;
}

/*
 * An ACL is stored shorter than the form that getxattr(2) gives: version 1, ids only where they mean something.
 * Gives the latter, and as text: "user::rwx,user:1000:r-x,...", with ids instead of names.
 */
static void convert_acl(struct attribute *one, struct bytes *text)
{
  const unsigned char *acl = (const unsigned char *)one->value;
  struct bytes full = {0};
  append(&full, "\2\0\0\0", 4);
  if (one->size < 4 || little(acl, 4) != 1)
    fail("%s: damaged access control list", current);
  for (size_t at = 4; at < one->size;) {
    unsigned tag = one->size - at >= 4 ? little(acl + at, 2) : 0, bits = tag != 0 ? little(acl + at + 2, 2) : 0;
    bool named = tag == 0x02 || tag == 0x08;
    size_t length = named ? 8 : 4;
    if ((!named && tag != 0x01 && tag != 0x04 && tag != 0x10 && tag != 0x20) || one->size - at < length || bits > 7)
      fail("%s: damaged access control list", current);
    append(&full, acl + at, 4);
    append(&full, named ? (const char *)acl + at + 4 : "\377\377\377\377", 4);
    const char *kind = tag & 0x03 ? "user" : tag & 0x0c ? "group" : tag & 0x10 ? "mask" : "other";
    char line[64], id[16] = "";
    if (named)
      snprintf(id, sizeof id, "%" PRIu32, little(acl + at + 4, 4));
    snprintf(line, sizeof line, "%s%s:%s:%c%c%c", text->length > 0 ? "," : "", kind, id, bits & 4 ? 'r' : '-',
             bits & 2 ? 'w' : '-', bits & 1 ? 'x' : '-');
    append_text(text, line);
    at += length;
  }
  free(one->value);
  one->value = full.data;
  one->size = full.length;
}

static void pax_attributes(struct bytes *records, ext2_ino_t ino)
{
  struct ext2_xattr_handle *handle;
  struct attributes all = {0};
  check(ext2fs_xattrs_open(fs, ino, &handle), "opening extended attributes");
  check(ext2fs_xattrs_read(handle), "reading extended attributes");
  check(ext2fs_xattrs_iterate(handle, collect_attribute, &all), "listing extended attributes");
  ext2fs_xattrs_close(&handle);
  if (all.length > 0)
    qsort(all.list, all.length, sizeof *all.list, by_attribute_name);
  for (size_t i = 0; i < all.length; i++) {
    struct attribute *one = &all.list[i];
    bool access = strcmp(one->name, "system.posix_acl_access") == 0;
    if (access || strcmp(one->name, "system.posix_acl_default") == 0) {
      struct bytes text = {0};
      convert_acl(one, &text);
      pax(records, access ? "SCHILY.acl.access" : "SCHILY.acl.default", text.data, text.length);
      free(text.data);
    }
    char *key = attribute_key(base64_xattrs ? "LIBARCHIVE.xattr." : "SCHILY.xattr.", one->name);
    if (base64_xattrs) {
      struct bytes text = {0};
      append_base64(&text, (unsigned char *)one->value, one->size);
      pax(records, key, text.data, text.length);
      free(text.data);
    } else {
      pax(records, key, one->value, one->size);
    }
    free(key);
    free(one->name);
    free(one->value);
  }
  free(all.list);
}

/* ---- where a file's data is ---------------------------------------------------------------------------------- */

static void add_run(struct runs *runs, uint64_t logical, uint64_t physical, uint64_t count)
{
  uint64_t end = ext2fs_blocks_count(fs->super);
  if (physical < fs->super->s_first_data_block || physical >= end || count > end - physical)
    fail("%s: a block is outside the file system", current);
  if (count > blocks_left)
    fail("%s: blocks belong to more than one file", current);
  blocks_left -= count;
  struct run *last = runs->length > 0 ? &runs->list[runs->length - 1] : NULL;
  if (last != NULL && logical < last->logical + last->count)
    fail("%s: the block map is out of order", current);
  if (last != NULL && logical == last->logical + last->count && physical == last->physical + last->count) {
    last->count += count;
    return;
  }
  if (runs->length == runs->room) {
    runs->room = runs->room * 2 + 16;
    runs->list = must(realloc(runs->list, runs->room * sizeof *runs->list));
  }
  runs->list[runs->length++] = (struct run){logical, physical, count};
}

static void extent_runs(ext2_ino_t ino, struct ext2_inode *inode, struct runs *runs)
{
  ext2_extent_handle_t handle;
  struct ext2fs_extent extent;
  uint64_t steps = ext2fs_blocks_count(fs->super) + 16;
  int op = EXT2_EXTENT_ROOT;
  check(ext2fs_extent_open2(fs, ino, inode, &handle), "opening the extent tree");
  for (;; op = EXT2_EXTENT_NEXT) {
    errcode_t code = ext2fs_extent_get(handle, op, &extent);
    if (code == EXT2_ET_EXTENT_NO_NEXT || code == EXT2_ET_NO_CURRENT_NODE || code == EXT2_ET_EXTENT_NOT_FOUND)
      break;
    check(code, "reading the extent tree");
    if (steps-- == 0)
      fail("%s: the extent tree leads in circles", current);
    if (!(extent.e_flags & EXT2_EXTENT_FLAGS_LEAF) || extent.e_flags & EXT2_EXTENT_FLAGS_UNINIT || extent.e_len == 0)
      continue;
    add_run(runs, extent.e_lblk, extent.e_pblk, extent.e_len);
  }
  ext2fs_extent_free(handle);
}

static int add_block(ext2_filsys unused, blk64_t *block, e2_blkcnt_t logical, blk64_t parent, int offset, void *data)
{
  (void)unused;
  (void)parent;
  (void)offset;
  if (logical >= 0 && *block != 0)
    add_run(data, (uint64_t)logical, *block, 1);
  return 0;
}

static struct runs file_runs(ext2_ino_t ino, struct ext2_inode *inode)
{
  struct runs runs = {0};
  if (inode->i_flags & EXT4_EXTENTS_FL)
    extent_runs(ino, inode, &runs);
  else
    check(ext2fs_block_iterate3(fs, ino, BLOCK_FLAG_READ_ONLY | BLOCK_FLAG_DATA_ONLY, NULL, add_block, &runs),
          "reading the block map");
  /* Blocks after the end (allocated in advance, verity's hash tree) are no content. */
  uint64_t size = EXT2_I_SIZE(inode), blocks = (size + fs->blocksize - 1) / fs->blocksize;
  while (runs.length > 0 && runs.list[runs.length - 1].logical >= blocks)
    runs.length--;
  if (runs.length > 0) {
    struct run *last = &runs.list[runs.length - 1];
    if (last->count > blocks - last->logical)
      last->count = blocks - last->logical;
  }
  return runs;
}

/* Bytes of a run that are content: its last block may end early. */
static uint64_t run_bytes(const struct run *run, uint64_t size)
{
  uint64_t start = run->logical * fs->blocksize, length = run->count * fs->blocksize;
  return length < size - start ? length : size - start;
}

static void put_run(const struct run *run, uint64_t size)
{
  static unsigned char data[256 * 1024];
  uint64_t at = image_offset + run->physical * fs->blocksize, left = run_bytes(run, size);
  while (left > 0) {
    ssize_t have = pread(image, data, left < sizeof data ? left : sizeof data, (off_t)at);
    if (have < 0 && errno == EINTR)
      continue;
    if (have <= 0)
      fail("%s: reading data: %s", current, have < 0 ? strerror(errno) : "the image ends early");
    put(data, (size_t)have);
    at += (uint64_t)have;
    left -= (uint64_t)have;
  }
}

/* ---- one inode ----------------------------------------------------------------------------------------------- */

static void put_inline_file(struct entry *entry, struct bytes *records, ext2_ino_t ino, struct ext2_inode *inode)
{
  size_t have = 0;
  check(ext2fs_inline_data_size(fs, ino, &have), "reading inline data");
  if (entry->size > have || have > 65536)
    fail("%s: the size is %" PRIu64 " bytes, its inline data has %zu", current, entry->size, have);
  char *data = must(calloc(1, have + fs->blocksize));
  check(ext2fs_inline_data_get(fs, ino, inode, data, &have), "reading inline data");
  put_entry(entry, records);
  put(data, entry->size);
  pad(entry->size);
  free(data);
}

static void put_sparse_file(struct entry *entry, struct bytes *records, const struct runs *runs)
{
  struct bytes map = {0};
  char line[64];
  uint64_t data = 0, size = entry->size;
  snprintf(line, sizeof line, "%zu\n", runs->length + 1);
  append_text(&map, line);
  for (size_t i = 0; i < runs->length; i++) {
    uint64_t length = run_bytes(&runs->list[i], size);
    snprintf(line, sizeof line, "%" PRIu64 "\n%" PRIu64 "\n", runs->list[i].logical * fs->blocksize, length);
    append_text(&map, line);
    data += length;
  }
  snprintf(line, sizeof line, "%" PRIu64 "\n0\n", size);
  append_text(&map, line);
  pax_text(records, "GNU.sparse.major", "1");
  pax_text(records, "GNU.sparse.minor", "0");
  pax_text(records, "GNU.sparse.name", entry->name);
  pax_number(records, "GNU.sparse.realsize", size);
  uint64_t map_size = (map.length + TAR_BLOCK - 1) / TAR_BLOCK * TAR_BLOCK;
  entry->name = "./GNUSparseFile.0/entry";
  entry->size = map_size + data;
  put_entry(entry, records);
  put(map.data, map.length);
  pad(map.length);
  for (size_t i = 0; i < runs->length; i++)
    put_run(&runs->list[i], size);
  pad(data);
  free(map.data);
}

static void put_file(struct entry *entry, struct bytes *records, ext2_ino_t ino, struct ext2_inode *inode)
{
  if (inode->i_flags & EXT4_INLINE_DATA_FL) {
    put_inline_file(entry, records, ino, inode);
    return;
  }
  struct runs runs = file_runs(ino, inode);
  uint64_t data = 0, at = 0;
  for (size_t i = 0; i < runs.length; i++)
    data += run_bytes(&runs.list[i], entry->size);
  uint64_t holes = entry->size - data;
  if (holes >= SPARSE_HOLE || holes > zeros_left) {
    put_sparse_file(entry, records, &runs);
  } else {
    zeros_left -= holes;
    put_entry(entry, records);
    for (size_t i = 0; i < runs.length; i++) {
      uint64_t start = runs.list[i].logical * fs->blocksize;
      put_zeros(start - at);
      put_run(&runs.list[i], entry->size);
      at = start + run_bytes(&runs.list[i], entry->size);
    }
    put_zeros(entry->size - at);
    pad(entry->size);
  }
  free(runs.list);
}

static char *symlink_target(ext2_ino_t ino, struct ext2_inode *inode)
{
  uint64_t size = EXT2_I_SIZE(inode);
  if (size == 0 || size > MAX_SYMLINK)
    fail("%s: a symbolic link of %" PRIu64 " bytes", current, size);
  char *target = must(calloc(1, size + fs->blocksize + 1));
  if (ext2fs_is_fast_symlink(inode)) {
    if (size > sizeof inode->i_block)
      fail("%s: a symbolic link of %" PRIu64 " bytes", current, size);
    memcpy(target, inode->i_block, size);
  } else if (inode->i_flags & EXT4_INLINE_DATA_FL) {
    size_t have = 0;
    check(ext2fs_inline_data_size(fs, ino, &have), "reading inline data");
    if (have != size)
      fail("%s: a symbolic link of %" PRIu64 " bytes with %zu inline", current, size, have);
    check(ext2fs_inline_data_get(fs, ino, inode, target, &have), "reading inline data");
  } else {
    struct runs runs = file_runs(ino, inode);
    if (runs.length != 1 || runs.list[0].logical != 0 || size > fs->blocksize)
      fail("%s: the symbolic link has no text", current);
    check(io_channel_read_blk64(fs->io, runs.list[0].physical, 1, target), "reading a symbolic link");
    free(runs.list);
  }
  target[size] = '\0';
  if (strlen(target) != size)
    fail("%s: the symbolic link holds a NUL byte", current);
  return target;
}

/* The first path of an inode with several names; NULL when this is the first, which is then kept. */
static const char *first_name(ext2_ino_t ino, const char *path)
{
  if (links_used * 2 >= links_room) {
    size_t old_room = links_room;
    struct seen *old = links;
    links_room = old_room * 2 + 1024;
    links = must(calloc(links_room, sizeof *links));
    for (size_t i = 0; i < old_room; i++) {
      if (old[i].ino == 0)
        continue;
      size_t at = old[i].ino % links_room;
      while (links[at].ino != 0)
        at = (at + 1) % links_room;
      links[at] = old[i];
    }
    free(old);
  }
  size_t at = ino % links_room;
  for (; links[at].ino != 0; at = (at + 1) % links_room)
    if (links[at].ino == ino)
      return links[at].path;
  links[at] = (struct seen){ino, must(strdup(path))};
  links_used++;
  return NULL;
}

static void modified(const struct ext2_inode_large *inode, struct entry *entry)
{
  entry->seconds = (int32_t)inode->i_mtime;
  const size_t reaches = offsetof(struct ext2_inode_large, i_mtime_extra) + sizeof inode->i_mtime_extra;
  if (EXT2_INODE_SIZE(fs->super) < reaches || (size_t)EXT2_GOOD_OLD_INODE_SIZE + inode->i_extra_isize < reaches)
    return;
  entry->seconds += (int64_t)(inode->i_mtime_extra & 3) << 32;
  entry->nanoseconds = inode->i_mtime_extra >> 2;
  if (entry->nanoseconds >= 1000000000)
    fail("%s: a time with %" PRIu32 " nanoseconds", current, entry->nanoseconds);
}

static void device(const struct ext2_inode *inode, struct entry *entry)
{
  uint32_t old = inode->i_block[0], new = inode->i_block[1];
  entry->major = old != 0 ? old >> 8 & 0xff : new >> 8 & 0xfff;
  entry->minor = old != 0 ? old & 0xff : (new & 0xff) | (new >> 12 & 0xfff00);
}

static void walk(ext2_ino_t ino, const char *path, int depth);

static void put_inode(ext2_ino_t ino, const char *path, int depth)
{
  struct ext2_inode_large large = {0};
  struct ext2_inode *inode = (struct ext2_inode *)&large;
  struct bytes records = {0};
  current = path;
  alarm(STALL_SECONDS);
  if (entries_left-- == 0)
    fail("%s: more names than the file system has room for", path);
  check(ext2fs_read_inode_full(fs, ino, inode, sizeof large), "reading the inode");
  if (inode->i_links_count == 0)
    fail("%s: names a deleted inode", path);
  if (inode->i_flags & EXT4_ENCRYPT_FL)
    fail("%s: is encrypted", path);

  struct entry entry = {
    .name = path,
    .mode = inode->i_mode & 07777,
    .uid = inode_uid(*inode),
    .gid = inode_gid(*inode),
  };
  modified(&large, &entry);
  bool is_directory = LINUX_S_ISDIR(inode->i_mode);
  if (!is_directory && inode->i_links_count > 1) {
    const char *first = first_name(ino, path);
    if (first != NULL) {
      entry.type = '1';
      entry.link = first;
      put_entry(&entry, &records);
      free(records.data);
      return;
    }
  }
  if (LINUX_S_ISSOCK(inode->i_mode)) {
    fprintf(stderr, "ext4-tar: %s: a socket, left out\n", path);
    return;
  }
  if (unprivileged && (LINUX_S_ISCHR(inode->i_mode) || LINUX_S_ISBLK(inode->i_mode))) {
    if (strncmp(path, "./dev/", 6) != 0)
      fprintf(stderr, "ext4-tar: %s: a device file, left out\n", path);
    return;
  }
  if (unprivileged && (entry.uid > MAX_ID || entry.gid > MAX_ID))
    fail("%s: belongs to %u:%u, and only owners up to %u can be kept", path, entry.uid, entry.gid, (unsigned)MAX_ID);
  pax_attributes(&records, ino);
  char *text = NULL;
  if (LINUX_S_ISREG(inode->i_mode)) {
    entry.type = '0';
    entry.size = EXT2_I_SIZE(inode);
    if (entry.size / fs->blocksize >> 32 != 0)
      fail("%s: a size of %" PRIu64 " bytes", path, entry.size);
    put_file(&entry, &records, ino, inode);
  } else if (is_directory) {
    entry.type = '5';
    text = must(malloc(strlen(path) + 2));
    sprintf(text, "%s/", path);
    entry.name = text;
    put_entry(&entry, &records);
  } else if (LINUX_S_ISLNK(inode->i_mode)) {
    entry.type = '2';
    entry.link = text = symlink_target(ino, inode);
    put_entry(&entry, &records);
  } else if (LINUX_S_ISCHR(inode->i_mode) || LINUX_S_ISBLK(inode->i_mode)) {
    entry.type = LINUX_S_ISCHR(inode->i_mode) ? '3' : '4';
    device(inode, &entry);
    put_entry(&entry, &records);
  } else if (LINUX_S_ISFIFO(inode->i_mode)) {
    entry.type = '6';
    put_entry(&entry, &records);
  } else {
    fail("%s: an inode of unknown type, mode %o", path, inode->i_mode);
  }
  free(text);
  free(records.data);
  if (is_directory)
    walk(ino, path, depth);
}

/* ---- directories --------------------------------------------------------------------------------------------- */

struct name {
  ext2_ino_t ino;
  char *text;
};

struct names {
  struct name *list;
  size_t length, room;
};

static int collect_name(struct ext2_dir_entry *entry, int offset, int blocksize, char *buffer, void *data)
{
  (void)offset;
  (void)blocksize;
  (void)buffer;
  struct names *names = data;
  size_t length = (size_t)ext2fs_dirent_name_len(entry);
  const char *text = entry->name;
  if (entry->inode == 0 || (length == 1 && text[0] == '.') || (length == 2 && text[0] == '.' && text[1] == '.'))
    return 0;
  if (length == 0 || memchr(text, '/', length) != NULL || memchr(text, '\0', length) != NULL)
    fail("%s: a damaged name", current);
  if (entry->inode > fs->super->s_inodes_count || entry->inode < EXT2_FIRST_INODE(fs->super))
    fail("%s: %.*s names inode %u, which is none for files", current, (int)length, text, entry->inode);
  if (names->length >= entries_left)
    fail("%s: more names than the file system has room for", current);
  if (names->length == names->room) {
    names->room = names->room * 2 + 32;
    names->list = must(realloc(names->list, names->room * sizeof *names->list));
  }
  names->list[names->length++] = (struct name){entry->inode, must(strndup(text, length))};
  return 0;
}

static int by_name(const void *a, const void *b)
{
  return strcmp(((const struct name *)a)->text, ((const struct name *)b)->text);
}

static void walk(ext2_ino_t ino, const char *path, int depth)
{
  struct names names = {0};
  if (depth > MAX_DEPTH)
    fail("%s: folders are too deep", path);
  if (directory_seen[ino / 8] & 1 << ino % 8)
    fail("%s: a folder that is also elsewhere", path);
  directory_seen[ino / 8] |= (unsigned char)(1 << ino % 8);
  check(ext2fs_dir_iterate(fs, ino, 0, NULL, collect_name, &names), "reading the folder");
  if (names.length > 0)
    qsort(names.list, names.length, sizeof *names.list, by_name);
  for (size_t i = 0; i < names.length; i++) {
    if (i > 0 && strcmp(names.list[i].text, names.list[i - 1].text) == 0)
      fail("%s: two entries named %s", path, names.list[i].text);
    char *child = must(malloc(strlen(path) + strlen(names.list[i].text) + 2));
    sprintf(child, "%s/%s", path, names.list[i].text);
    put_inode(names.list[i].ino, child, depth + 1);
    free(child);
    current = path;
  }
  for (size_t i = 0; i < names.length; i++)
    free(names.list[i].text);
  free(names.list);
}

/* ---- start --------------------------------------------------------------------------------------------------- */

static uint64_t number(const char *text)
{
  char *end;
  errno = 0;
  uint64_t value = strtoull(text, &end, 10);
  if (errno != 0 || *end != '\0' || text[0] < '0' || text[0] > '9' || value > INT64_MAX) {
    fprintf(stderr, "ext4-tar: not a number of bytes: %s\n", text);
    exit(2);
  }
  return value;
}

int main(int argc, char **argv)
{
  base64_xattrs = argc == 5 && strcmp(argv[4], "-b") == 0;
  unprivileged = argc == 5 && strcmp(argv[4], "-u") == 0;
  if (argc < 4 || argc > 5 || (argc == 5 && !base64_xattrs && !unprivileged)) {
    fprintf(stderr, "usage: ext4-tar IMAGE OFFSET SIZE [-b|-u]\n");
    return 2;
  }
  image_offset = number(argv[2]);
  uint64_t size = number(argv[3]);
  signal(SIGALRM, stalled);
  alarm(STALL_SECONDS);
  initialize_ext2_error_table();

  struct stat about;
  image = open(argv[1], O_RDONLY | O_CLOEXEC);
  if (image < 0 || fstat(image, &about) != 0)
    fail("%s: %s", argv[1], strerror(errno));
  off_t end = lseek(image, 0, SEEK_END);
  if (end < 0)
    fail("%s: %s", argv[1], strerror(errno));
  if (size > INT64_MAX - image_offset || image_offset + size > (uint64_t)end)
    fail("%s: the image ends early: %" PRIu64 " bytes from %" PRIu64 " wanted, it has %" PRId64, argv[1], size,
         image_offset, (int64_t)end);

  char options[64];
  snprintf(options, sizeof options, "offset=%" PRIu64, image_offset);
  errcode_t code = ext2fs_open2(argv[1], options, EXT2_FLAG_64BITS, 0, 0, unix_io_manager, &fs);
  if (code)
    fail("%s: no readable ext4 file system at byte %" PRIu64 ": %s", argv[1], image_offset, error_message(code));
  uint64_t blocks = ext2fs_blocks_count(fs->super);
  if (blocks > size / fs->blocksize)
    fail("%s: the file system has %" PRIu64 " blocks of %u bytes, more than its %" PRIu64 " bytes", argv[1], blocks,
         fs->blocksize, size);
  if (ext2fs_has_feature_journal_needs_recovery(fs->super))
    fprintf(stderr, "ext4-tar: the file system was not closed cleanly: what its journal holds is not seen\n");

  blocks_left = blocks;
  zeros_left = blocks * fs->blocksize;
  entries_left = blocks * fs->blocksize / 8; /* the smallest directory entry has more than 8 bytes */
  directory_seen = must(calloc(fs->super->s_inodes_count / 8 + 1, 1));
  put_inode(EXT2_ROOT_INO, ".", 0);
  put_zeros(2 * TAR_BLOCK);
  flush();
  ext2fs_close_free(&fs);
  return 0;
}
