/* The first process in a sandbox: runs indices one by one, kills what is left of each, streams its outputs out, cleans up.
   Trusted, static, single-threaded; allocates nothing. Ends when its runner does. */
#define _GNU_SOURCE
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/sendfile.h>
#include <sys/signalfd.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "protocol.h"

#define MAX_STRINGS 16384
#define TICK_MS 100
#define DISK_FULL_BELOW (64 * 1024)

static char request[INIT_MAX_RUN_BYTES];
static char *strings[MAX_STRINGS + 2];
static const char *const scratch[] = {"/work/out", "/tmp"};

struct stream {
  int fd;
  uint64_t total;
  uint32_t tail_size;
  char tail[INIT_TAIL_BYTES];
};

static void must(int good) {
  if (!good) _exit(70);
}

static void write_all(const void *data, size_t size) {
  const char *at = data;
  while (size > 0) {
    ssize_t put = write(INIT_CONTROL_FD, at, size);
    if (put < 0 && errno == EINTR) continue;
    must(put > 0);
    at += put;
    size -= (size_t)put;
  }
}

static int read_all(void *data, size_t size) {
  char *at = data;
  while (size > 0) {
    ssize_t got = read(INIT_CONTROL_FD, at, size);
    if (got < 0 && errno == EINTR) continue;
    if (got <= 0) return 0;
    at += got;
    size -= (size_t)got;
  }
  return 1;
}

static void send_header(uint32_t type, size_t length) {
  struct init_header header = {type, (uint32_t)length};
  write_all(&header, sizeof header);
}

static uint64_t now_ms(void) {
  struct timespec t;
  clock_gettime(CLOCK_MONOTONIC, &t);
  return (uint64_t)t.tv_sec * 1000 + (uint64_t)t.tv_nsec / 1000000;
}

static int disk_is_full(void) {
  for (unsigned i = 0; i < 2; ++i) {
    struct statvfs v;
    if (statvfs(scratch[i], &v) == 0 && v.f_blocks > 0 && (uint64_t)v.f_bavail * v.f_bsize < DISK_FULL_BELOW && v.f_bavail * 8 < v.f_blocks) return 1;
  }
  return 0;
}

static void set_limit(int what, uint64_t soft, uint64_t hard) {
  struct rlimit limit = {soft, hard};
  setrlimit(what, &limit);
}

static void start_command(const struct init_run *run, int out, int err) {
  sigset_t none;
  sigemptyset(&none);
  sigprocmask(SIG_SETMASK, &none, NULL);
  int null = open("/dev/null", O_RDONLY);
  if (null < 0 || dup2(null, 0) < 0 || dup2(out, 1) < 0 || dup2(err, 2) < 0) _exit(126);
  if (syscall(SYS_close_range, 3, ~0U, 0) != 0) _exit(126);
  set_limit(RLIMIT_CORE, 0, 0);
  set_limit(RLIMIT_NOFILE, run->open_files, run->open_files);
  set_limit(RLIMIT_NPROC, run->processes, run->processes);
  set_limit(RLIMIT_CPU, run->cpu_s, run->cpu_s + 1);
  set_limit(RLIMIT_MEMLOCK, 64 << 10, 64 << 10);
  set_limit(RLIMIT_MSGQUEUE, 0, 0);
  if (chdir("/work") != 0) _exit(126);
  environ = strings + run->argc + 1;
  execvp(strings[0], strings);
  int why = errno;
  dprintf(2, "tnode: cannot start '%s': %s\n", strings[0], strerror(why));
  _exit(why == ENOENT ? 127 : 126);
}

/* Reads what is there; 0 when the pipe is closed. */
static int take(struct stream *s) {
  char buffer[65536];
  for (;;) {
    ssize_t got = read(s->fd, buffer, sizeof buffer);
    if (got < 0) return errno == EAGAIN || errno == EINTR;
    if (got == 0) return 0;
    s->total += (uint64_t)got;
    size_t size = (size_t)got;
    if (size >= INIT_TAIL_BYTES) {
      memcpy(s->tail, buffer + size - INIT_TAIL_BYTES, INIT_TAIL_BYTES);
      s->tail_size = INIT_TAIL_BYTES;
    } else {
      size_t keep = s->tail_size + size > INIT_TAIL_BYTES ? INIT_TAIL_BYTES - size : s->tail_size;
      memmove(s->tail, s->tail + s->tail_size - keep, keep);
      memcpy(s->tail + keep, buffer, size);
      s->tail_size = (uint32_t)(keep + size);
    }
    if (size < sizeof buffer) return 1;
  }
}

static void note_usage(const struct rusage *u, struct init_end *end) {
  end->cpu_ms += (uint64_t)(u->ru_utime.tv_sec + u->ru_stime.tv_sec) * 1000 + (uint64_t)(u->ru_utime.tv_usec + u->ru_stime.tv_usec) / 1000;
  if ((uint64_t)u->ru_maxrss > end->peak_kib) end->peak_kib = (uint64_t)u->ru_maxrss;
}

/* Nothing of an index outlives it. */
static void kill_the_rest(struct init_end *end) {
  for (;;) {
    kill(-1, SIGKILL);
    struct rusage u;
    pid_t pid = wait4(-1, NULL, 0, &u);
    if (pid < 0 && errno == ECHILD) return;
    if (pid > 0) note_usage(&u, end);
  }
}

static struct stream out_stream, err_stream;

static void run_index(const struct init_run *run, int signals, struct init_end *end) {
  int out[2], err[2];
  must(pipe2(out, O_CLOEXEC) == 0 && pipe2(err, O_CLOEXEC) == 0);
  memset(end, 0, sizeof *end);
  memset(&out_stream, 0, sizeof out_stream);
  memset(&err_stream, 0, sizeof err_stream);
  const uint64_t started = now_ms();
  pid_t child = fork();
  must(child >= 0);
  if (child == 0) start_command(run, out[1], err[1]);
  close(out[1]);
  close(err[1]);
  out_stream.fd = out[0];
  err_stream.fd = err[0];
  fcntl(out[0], F_SETFL, O_NONBLOCK);
  fcntl(err[0], F_SETFL, O_NONBLOCK);
  int status = 0, over = 0, out_open = 1, err_open = 1;
  while (!over) {
    uint64_t passed = now_ms() - started;
    if (passed >= run->wall_ms) {
      end->ending = INIT_TIMEOUT;
      break;
    }
    uint64_t left = run->wall_ms - passed;
    struct pollfd watched[4] = {{signals, POLLIN, 0}, {INIT_CONTROL_FD, POLLIN, 0}, {out_open ? out[0] : -1, POLLIN, 0}, {err_open ? err[0] : -1, POLLIN, 0}};
    int ready = poll(watched, 4, left < TICK_MS ? (int)left : TICK_MS);
    if (ready == 0 && disk_is_full()) end->disk_full = 1;
    if (watched[1].revents) _exit(0); /* the runner is gone: so is the sandbox */
    if (watched[2].revents) out_open = take(&out_stream);
    if (watched[3].revents) err_open = take(&err_stream);
    if (out_stream.total > run->stdio_bytes || err_stream.total > run->stdio_bytes) {
      end->ending = INIT_OUTPUT;
      break;
    }
    if (watched[0].revents) {
      struct signalfd_siginfo info;
      (void)!read(signals, &info, sizeof info);
      struct rusage u;
      pid_t pid;
      int each;
      while ((pid = wait4(-1, &each, WNOHANG, &u)) > 0) {
        note_usage(&u, end);
        if (pid == child) {
          status = each;
          over = 1;
        }
      }
    }
  }
  if (disk_is_full()) end->disk_full = 1;
  kill_the_rest(end);
  if (out_open) take(&out_stream);
  if (err_open) take(&err_stream);
  close(out[0]);
  close(err[0]);
  if (over) {
    if (out_stream.total > run->stdio_bytes || err_stream.total > run->stdio_bytes) end->ending = INIT_OUTPUT;
    else if (WIFSIGNALED(status) && WTERMSIG(status) == SIGXCPU) end->ending = INIT_CPU;
    else end->exit_code = WIFSIGNALED(status) ? 128u + (uint32_t)WTERMSIG(status) : (uint32_t)WEXITSTATUS(status);
    if (end->cpu_ms >= run->cpu_s * 1000 && WIFSIGNALED(status)) end->ending = INIT_CPU;
  }
  end->wall_ms = now_ms() - started;
  end->stdout_bytes = out_stream.total;
  end->stderr_bytes = err_stream.total;
  end->stdout_tail = out_stream.tail_size;
  end->stderr_tail = err_stream.tail_size;
}

static void send_bad(const char *why, const char *path) {
  send_header(INIT_BAD, strlen(why) + 1 + strlen(path));
  write_all(why, strlen(why) + 1);
  write_all(path, strlen(path));
}

/* A folder of our own user may have lost its permissions; the task is dead, so nothing races. */
static int open_folder(int at, const char *name) {
  int fd = openat(at, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
  if (fd < 0 && errno == EACCES && fchmodat(at, name, 0700, 0) == 0) fd = openat(at, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
  if (fd >= 0) fchmod(fd, 0700);
  return fd;
}

static int send_file(int at, const char *name, const char *path, const struct stat *st) {
  int fd = openat(at, name, O_RDONLY | O_NOFOLLOW | O_CLOEXEC);
  if (fd < 0 && errno == EACCES && fchmodat(at, name, 0700, 0) == 0) fd = openat(at, name, O_RDONLY | O_NOFOLLOW | O_CLOEXEC);
  if (fd < 0) {
    send_bad("cannot be read", path);
    return 0;
  }
  struct init_file file = {(uint64_t)st->st_size, (st->st_mode & S_IXUSR) != 0, 0};
  send_header(INIT_FILE, sizeof file + strlen(path));
  write_all(&file, sizeof file);
  write_all(path, strlen(path));
  for (uint64_t left = file.size; left > 0;) {
    size_t part = left < INIT_DATA_BYTES ? (size_t)left : INIT_DATA_BYTES;
    send_header(INIT_DATA, part);
    for (size_t rest = part; rest > 0;) {
      ssize_t sent = sendfile(INIT_CONTROL_FD, fd, NULL, rest);
      if (sent < 0 && errno == EINTR) continue;
      must(sent > 0);
      rest -= (size_t)sent;
    }
    left -= part;
  }
  close(fd);
  return 1;
}

static int collect(int fd, char *path, size_t length, int depth) {
  DIR *dir = fdopendir(fd);
  must(dir != NULL);
  int good = 1;
  struct dirent *entry;
  while (good && (entry = readdir(dir)) != NULL) {
    if (strcmp(entry->d_name, ".") == 0 || strcmp(entry->d_name, "..") == 0) continue;
    size_t more = strlen(entry->d_name);
    must(length + more + 2 < 8192);
    path[length] = '/';
    memcpy(path + length + 1, entry->d_name, more + 1);
    struct stat st;
    if (fstatat(fd, entry->d_name, &st, AT_SYMLINK_NOFOLLOW) != 0) {
      send_bad("cannot be looked at", path);
      good = 0;
    } else if (S_ISDIR(st.st_mode)) {
      int below = depth < INIT_MAX_DEPTH ? open_folder(fd, entry->d_name) : -1;
      if (below < 0) {
        send_bad(depth < INIT_MAX_DEPTH ? "cannot be opened" : "lies too deep", depth < INIT_MAX_DEPTH ? path : "out");
        good = 0;
      } else {
        good = collect(below, path, length + 1 + more, depth + 1);
      }
    } else if (S_ISREG(st.st_mode)) {
      good = send_file(fd, entry->d_name, path, &st);
    } else {
      send_bad(S_ISLNK(st.st_mode) ? "is a symbolic link" : S_ISFIFO(st.st_mode) ? "is a pipe" : S_ISSOCK(st.st_mode) ? "is a socket" : "is a device", path);
      good = 0;
    }
    path[length] = 0;
  }
  closedir(dir);
  return good;
}

/* Empties a folder of any depth without recursion: goes down into what is not empty, and up again by "..". */
static void empty(const char *top) {
  int fd = open(top, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
  if (fd < 0) return;
  uint64_t depth = 0;
  for (;;) {
    int went_down = 0;
    int again = openat(fd, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    DIR *dir = again < 0 ? NULL : fdopendir(again);
    if (!dir) break;
    struct dirent *entry;
    while (!went_down && (entry = readdir(dir)) != NULL) {
      if (strcmp(entry->d_name, ".") == 0 || strcmp(entry->d_name, "..") == 0) continue;
      if (unlinkat(fd, entry->d_name, 0) == 0 || unlinkat(fd, entry->d_name, AT_REMOVEDIR) == 0) continue;
      int below = open_folder(fd, entry->d_name);
      if (below < 0) continue;
      close(fd);
      fd = below;
      ++depth;
      went_down = 1;
    }
    closedir(dir);
    if (went_down) continue;
    if (depth == 0) break;
    int up = openat(fd, "..", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    close(fd);
    if (up < 0) return;
    fd = up;
    --depth;
  }
  close(fd);
}

static void clean(void) {
  for (unsigned i = 0; i < 2; ++i) {
    chmod(scratch[i], 0755);
    empty(scratch[i]);
  }
  empty("/dev/shm");
}

int main(void) {
  prctl(PR_SET_DUMPABLE, 0, 0, 0, 0); /* the task has our user id: keep it from our memory and descriptors */
  fcntl(INIT_CONTROL_FD, F_SETFD, FD_CLOEXEC);
  umask(022);
  signal(SIGPIPE, SIG_IGN);
  sigset_t child;
  sigemptyset(&child);
  sigaddset(&child, SIGCHLD);
  sigprocmask(SIG_BLOCK, &child, NULL);
  int signals = signalfd(-1, &child, SFD_CLOEXEC | SFD_NONBLOCK);
  must(signals >= 0);
  send_header(INIT_READY, 0);
  for (;;) {
    struct init_header header;
    struct init_run run;
    struct init_end end;
    if (!read_all(&header, sizeof header)) return 0;
    must(header.type == INIT_RUN && header.length >= sizeof run && header.length <= sizeof run + sizeof request - 1);
    size_t size = header.length - sizeof run;
    must(read_all(&run, sizeof run) && read_all(request, size));
    request[size] = 0;
    must(run.argc > 0 && run.argc + run.envc <= MAX_STRINGS);
    char *at = request;
    for (uint32_t i = 0; i < run.argc + run.envc; ++i) {
      must(at < request + size);
      strings[i < run.argc ? i : i + 1] = at;
      at += strlen(at) + 1;
    }
    strings[run.argc] = NULL;
    strings[run.argc + run.envc + 1] = NULL;
    run_index(&run, signals, &end);
    send_header(INIT_END, sizeof end + end.stdout_tail + end.stderr_tail);
    write_all(&end, sizeof end);
    write_all(out_stream.tail, end.stdout_tail);
    write_all(err_stream.tail, end.stderr_tail);
    if (end.ending != INIT_EXITED || end.exit_code != 0) continue; /* nothing is taken from a failure; the runner ends us */
    static char path[8192];
    memcpy(path, "out", 4);
    int out = open_folder(AT_FDCWD, "/work/out");
    must(out >= 0);
    if (!collect(out, path, 3, 1)) continue;
    clean();
    send_header(INIT_COLLECTED, 0);
  }
}
