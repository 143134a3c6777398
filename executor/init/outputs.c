/* Streams an index's outputs to the runner: regular files only, each with its mode bit and bytes. Of the task nobody lives but its server, if it has one:
   what that changes meanwhile is refused. */
#define _GNU_SOURCE
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "init.h"

enum { PART_BYTES = 64 << 10 };

static void send_bad(const char *why, const char *path) {
  say_header(INIT_BAD, strlen(why) + 1 + strlen(path));
  say(why, strlen(why) + 1);
  say(path, strlen(path));
}

int open_folder(int at, const char *name) {
  int fd = openat(at, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
  if (fd < 0 && errno == EACCES && fchmodat(at, name, 0700, 0) == 0) fd = openat(at, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
  struct stat st;
  if (fd >= 0 && fstat(fd, &st) == 0 && (st.st_mode & 0700) != 0700) fchmod(fd, 0700); /* one that is as it was made stays so: see clean() */
  return fd;
}

static int send_file(int at, const char *name, const char *path, const struct stat *st) {
  enum { HOW = O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC };
  int fd = openat(at, name, HOW);
  if (fd < 0 && errno == EACCES && fchmodat(at, name, 0700, 0) == 0) fd = openat(at, name, HOW);
  struct stat now;
  if (fd < 0 || fstat(fd, &now) != 0 || now.st_ino != st->st_ino || now.st_size != st->st_size) {
    send_bad("cannot be read", path);
    close(fd);
    return 0;
  }
  struct init_file file = {(uint64_t)st->st_size, (st->st_mode & S_IXUSR) != 0, 0};
  say_header(INIT_FILE, sizeof file + strlen(path));
  say(&file, sizeof file);
  say(path, strlen(path));
  int good = 1;
  for (uint64_t left = file.size; good && left > 0;) {
    static char part[PART_BYTES];
    ssize_t got = read(fd, part, left < sizeof part ? (size_t)left : sizeof part);
    if (got < 0 && errno == EINTR) continue;
    good = got > 0;
    if (!good) break;
    say_header(INIT_DATA, (size_t)got);
    say(part, (size_t)got);
    left -= (uint64_t)got;
  }
  close(fd);
  if (!good) send_bad("changed while it was read", path);
  return good;
}

static const char *kind_of(mode_t mode) {
  if (S_ISLNK(mode)) return "is a symbolic link";
  if (S_ISFIFO(mode)) return "is a pipe";
  if (S_ISSOCK(mode)) return "is a socket";
  return "is a device";
}

/* Recursion is bounded by INIT_MAX_DEPTH, and with it the length of `path`. */
static int collect(int fd, char *path, size_t length, int depth) {
  DIR *dir = fdopendir(fd);
  must(dir != NULL);
  int good = 1;
  struct dirent *entry;
  while (good && (entry = readdir(dir)) != NULL) {
    if (strcmp(entry->d_name, ".") == 0 || strcmp(entry->d_name, "..") == 0) continue;
    size_t more = strlen(entry->d_name);
    must(length + more + 2 < INIT_MAX_PATH_BYTES);
    path[length] = '/';
    memcpy(path + length + 1, entry->d_name, more + 1);
    struct stat st;
    if (fstatat(fd, entry->d_name, &st, AT_SYMLINK_NOFOLLOW) != 0) {
      send_bad("cannot be looked at", path);
      good = 0;
    } else if (S_ISDIR(st.st_mode)) {
      int below = depth < INIT_MAX_DEPTH ? open_folder(fd, entry->d_name) : -1;
      if (below < 0) send_bad(depth < INIT_MAX_DEPTH ? "cannot be opened" : "lies too deep", path);
      good = below >= 0 && collect(below, path, length + 1 + more, depth + 1);
    } else if (S_ISREG(st.st_mode)) {
      good = send_file(fd, entry->d_name, path, &st);
    } else {
      send_bad(kind_of(st.st_mode), path);
      good = 0;
    }
    path[length] = 0;
  }
  closedir(dir);
  return good;
}

int send_outputs(void) {
  static char path[INIT_MAX_PATH_BYTES];
  memcpy(path, "out", 4);
  /* The folder around it is the task's own user's too, and out/ may be gone, or something else. */
  chmod(SCRATCH, 0755);
  struct stat st;
  if (lstat(SCRATCH_OUT, &st) != 0) return errno == ENOENT;
  if (!S_ISDIR(st.st_mode)) {
    send_bad(S_ISREG(st.st_mode) ? "is a file" : kind_of(st.st_mode), path);
    return 0;
  }
  int out = open_folder(AT_FDCWD, SCRATCH_OUT);
  if (out < 0) send_bad("cannot be opened", path);
  if (out < 0) return 0;
  return collect(out, path, 3, 1);
}
