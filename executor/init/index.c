/* One index: its command started with its limits, watched, ended, and everything it left alive killed. */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/signalfd.h>
#include <sys/statvfs.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "init.h"

/* How often limits are looked at that no call waits for: soon at first, for a command that forks without end may fail of it at once. */
#define TICK_MS 50
#define FIRST_TICK_MS 3
#define DISK_FULL_BELOW (64 * 1024)
#define MAX_PENDING_SIGNALS 1024

struct stream {
  int fd, open;
  uint64_t total;
  uint32_t tail_size;
  char tail[INIT_TAIL_BYTES];
};

static struct stream out_stream, err_stream;

static void set_limit(int what, uint64_t soft, uint64_t hard) {
  struct rlimit limit = {soft, hard};
  setrlimit(what, &limit);
}

static void start_command(const struct init_run *run, char **argv, char **env, int out, int err) {
  sigset_t none;
  sigemptyset(&none);
  sigprocmask(SIG_SETMASK, &none, NULL);
  signal(SIGPIPE, SIG_DFL);
  setsid(); /* a group of its own: what it does to its group does not reach init */
  int null = open("/dev/null", O_RDONLY);
  if (null < 0 || dup2(null, 0) < 0 || dup2(out, 1) < 0 || dup2(err, 2) < 0) _exit(126);
  if (syscall(SYS_close_range, 3, ~0U, 0) != 0) _exit(126);
  const uint64_t cpu_s = run->cpu_ms / 1000 + 1;
  set_limit(RLIMIT_NOFILE, run->open_files, run->open_files);
  set_limit(RLIMIT_NPROC, run->processes, run->processes);
  set_limit(RLIMIT_CPU, cpu_s, cpu_s + 1);
  set_limit(RLIMIT_MEMLOCK, 64 << 10, 64 << 10);
  set_limit(RLIMIT_MSGQUEUE, 0, 0);
  set_limit(RLIMIT_SIGPENDING, MAX_PENDING_SIGNALS, MAX_PENDING_SIGNALS); /* timers too; counted over all of the user's processes, outside as well */
  set_limit(RLIMIT_NICE, 0, 0); /* the farmer may be allowed more, for music: a task is not */
  set_limit(RLIMIT_RTPRIO, 0, 0);
  if (chdir("/work") != 0) _exit(126);
  environ = env;
  execvp(argv[0], argv);
  int why = errno;
  dprintf(2, "tnode: cannot start '%s': %s\n", argv[0], strerror(why));
  _exit(why == ENOENT ? 127 : 126);
}

static void open_stream(struct stream *s, int *write_end) {
  int ends[2];
  must(pipe2(ends, O_CLOEXEC) == 0);
  s->fd = ends[0];
  s->open = 1;
  s->total = 0;
  s->tail_size = 0;
  fcntl(s->fd, F_SETFL, O_NONBLOCK);
  *write_end = ends[1];
}

/* Takes what is there, and keeps its end. Stops when the limit is passed, however fast the other side writes. */
static void take(struct stream *s, uint64_t limit) {
  static char buffer[65536];
  while (s->open && s->total <= limit) {
    ssize_t got = read(s->fd, buffer, sizeof buffer);
    if (got < 0 && errno == EINTR) continue;
    if (got < 0) return;
    if (got == 0) {
      s->open = 0;
      return;
    }
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
  }
}

static void note_usage(const struct rusage *u, struct init_end *end) {
  end->cpu_us += (uint64_t)(u->ru_utime.tv_sec + u->ru_stime.tv_sec) * 1000000 + (uint64_t)(u->ru_utime.tv_usec + u->ru_stime.tv_usec);
  if ((uint64_t)u->ru_maxrss * 1024 > end->peak_bytes) end->peak_bytes = (uint64_t)u->ru_maxrss * 1024;
}

/* Takes the ended; 1 when the command itself is among them. */
static int reap(pid_t command, int *status, struct init_end *end) {
  struct rusage u;
  pid_t pid;
  int each, over = 0;
  while ((pid = wait4(-1, &each, WNOHANG, &u)) > 0) {
    note_usage(&u, end);
    if (pid == command) {
      *status = each;
      over = 1;
    }
  }
  return over;
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

/* Limits that no call waits for. Sets end->ending when one is passed; `last` at the index's own end. */
static void watch(const struct init_run *run, uint64_t passed_ms, int last, struct init_end *end) {
  struct statvfs disk;
  if (statvfs(SCRATCH, &disk) == 0) {
    if ((uint64_t)disk.f_bavail * disk.f_bsize < DISK_FULL_BELOW && disk.f_bavail * 8 < disk.f_blocks) end->disk_full = 1;
    /* Empty files take no bytes of a tmpfs, but they take the kernel's memory. */
    if (disk.f_files - disk.f_ffree > run->inodes) end->ending = INIT_INODES;
  }
  cpu_set_t processors;
  const uint64_t parallel = sched_getaffinity(0, sizeof processors, &processors) == 0 ? (uint64_t)CPU_COUNT(&processors) : 1;
  const int cpu_possible = end->cpu_us / 1000 + passed_ms * parallel >= run->cpu_ms && !last;
  if (!cpu_possible && !run->watch_memory_bytes) return;
  struct use use;
  look_at_processes(&use, run->watch_memory_bytes != 0);
  if (!last && end->cpu_us / 1000 + use.cpu_ms >= run->cpu_ms) end->ending = INIT_CPU;
  if (!run->watch_memory_bytes) return;
  if (use.memory_bytes > run->watch_memory_bytes) use.memory_bytes = shared_memory_exact();
  if (use.memory_bytes > end->peak_bytes) end->peak_bytes = use.memory_bytes;
  if (use.memory_bytes > run->watch_memory_bytes) end->ending = INIT_MEMORY;
  else if (use.threads + 1 >= run->processes) end->ending = INIT_PROCESSES; /* init is one of those that the kernel counts */
}

/* Until the command has ended (1) or end->ending says why it has to (0). */
static int wait_for_end(const struct init_run *run, pid_t command, int signals, uint64_t started, int *status, struct init_end *end) {
  uint64_t pause = run->watch_memory_bytes ? FIRST_TICK_MS : TICK_MS, next_look = pause;
  while (end->ending == INIT_EXITED) {
    uint64_t passed = now_ms() - started;
    if (passed >= run->wall_ms) {
      end->ending = INIT_TIMEOUT;
      break;
    }
    if (passed >= next_look) {
      watch(run, passed, 0, end);
      pause = pause * 2 < TICK_MS ? pause * 2 : TICK_MS;
      next_look = now_ms() - started + pause;
      continue;
    }
    const uint64_t until = next_look < run->wall_ms ? next_look : run->wall_ms;
    struct pollfd watched[4] = {
        {signals, POLLIN, 0}, {INIT_CONTROL_FD, POLLIN, 0}, {out_stream.open ? out_stream.fd : -1, POLLIN, 0}, {err_stream.open ? err_stream.fd : -1, POLLIN, 0}};
    poll(watched, 4, (int)(until - passed));
    if (watched[1].revents) {
      read_stop();
      end->ending = INIT_STOPPED;
      break;
    }
    if (watched[2].revents) take(&out_stream, run->stdio_bytes);
    if (watched[3].revents) take(&err_stream, run->stdio_bytes);
    if (out_stream.total > run->stdio_bytes || err_stream.total > run->stdio_bytes) end->ending = INIT_OUTPUT;
    if (watched[0].revents) {
      struct signalfd_siginfo info;
      (void)!read(signals, &info, sizeof info);
      if (reap(command, status, end)) return 1;
    }
  }
  return 0;
}

struct tails run_index(const struct init_run *run, char **argv, char **env, int signals, struct init_end *end) {
  memset(end, 0, sizeof *end);
  int out, err, status = 0;
  open_stream(&out_stream, &out);
  open_stream(&err_stream, &err);
  const uint64_t started_us = now_us(), started = started_us / 1000;
  pid_t command = fork();
  must(command >= 0);
  if (command == 0) start_command(run, argv, env, out, err);
  close(out);
  close(err);
  const int ended = wait_for_end(run, command, signals, started, &status, end);
  const int failed = !ended || status != 0;
  if (failed) watch(run, now_ms() - started, 1, end);
  kill_the_rest(end);
  take(&out_stream, run->stdio_bytes);
  take(&err_stream, run->stdio_bytes);
  close(out_stream.fd);
  close(err_stream.fd);
  if (ended && (out_stream.total > run->stdio_bytes || err_stream.total > run->stdio_bytes)) end->ending = INIT_OUTPUT;
  if (ended && WIFSIGNALED(status)) {
    const int signal_number = WTERMSIG(status);
    if (signal_number == SIGXCPU || (signal_number == SIGKILL && end->cpu_us / 1000 >= run->cpu_ms)) end->ending = INIT_CPU;
    end->exit_code = 128u + (uint32_t)signal_number;
  } else if (ended) {
    end->exit_code = (uint32_t)WEXITSTATUS(status);
  }
  end->wall_us = now_us() - started_us;
  end->stdout_bytes = out_stream.total;
  end->stderr_bytes = err_stream.total;
  end->stdout_tail = out_stream.tail_size;
  end->stderr_tail = err_stream.tail_size;
  struct tails tails = {out_stream.tail, err_stream.tail};
  return tails;
}
