/* One index: its command started with its limits, watched, ended, and everything it left alive killed. */
#define _GNU_SOURCE
#include <errno.h>
#include <poll.h>
#include <sched.h>
#include <signal.h>
#include <string.h>
#include <sys/signalfd.h>
#include <sys/statvfs.h>
#include <sys/wait.h>
#include <unistd.h>

#include "init.h"

/* How often limits are looked at that no call waits for: soon at first, for a command that forks without end may fail of it at once. */
#define TICK_MS 50
#define FIRST_TICK_MS 3
#define DISK_FULL_BELOW (64 * 1024)
/* A server that served before has forked by then, or is replaced. A new one has all the time that the index has. */
#define FORKED_AFTER_MS 2000

/* Who has ended so far. */
struct ended {
  pid_t command; /* 0: it is the server's child, and the server says how it ends */
  int over, status;
  int server, server_status;
  int broken; /* the server is gone, or makes no sense */
};

static void note_usage(const struct rusage *u, struct init_end *end) {
  end->cpu_us += (uint64_t)(u->ru_utime.tv_sec + u->ru_stime.tv_sec) * 1000000 + (uint64_t)(u->ru_utime.tv_usec + u->ru_stime.tv_usec);
  if ((uint64_t)u->ru_maxrss * 1024 > end->peak_bytes) end->peak_bytes = (uint64_t)u->ru_maxrss * 1024;
}

/* One that has ended: the command, the server, or somebody that they left. What the server used in its life is no index's. */
static void note_ended(pid_t pid, int status, const struct rusage *u, struct ended *ended, struct init_end *end) {
  if (pid == server_pid()) {
    ended->server = 1;
    ended->server_status = status;
    return;
  }
  note_usage(u, end);
  if (pid != ended->command) return;
  ended->over = 1;
  ended->status = status;
}

static void reap(struct ended *ended, struct init_end *end) {
  struct rusage u;
  pid_t pid;
  int status;
  while ((pid = wait4(-1, &status, WNOHANG, &u)) > 0) note_ended(pid, status, &u, ended, end);
}

/* Nothing of an index outlives it. */
static void kill_the_rest(struct ended *ended, struct init_end *end) {
  for (;;) {
    kill(-1, SIGKILL);
    struct rusage u;
    int status;
    pid_t pid = wait4(-1, &status, 0, &u);
    if (pid < 0 && errno == ECHILD) break;
    if (pid > 0) note_ended(pid, status, &u, ended, end);
  }
}

void end_server(void) {
  struct ended ended;
  struct init_end of_nobody;
  memset(&ended, 0, sizeof ended);
  memset(&of_nobody, 0, sizeof of_nobody);
  kill_the_rest(&ended, &of_nobody);
  server_forget();
}

/* Limits that no call waits for. Sets end->ending when one is passed; `last` at the index's own end. */
static void watch(const struct init_run *run, uint64_t passed_ms, int last, struct init_end *end) {
  struct statvfs disk;
  if (statvfs(SCRATCH, &disk) == 0) {
    const uint64_t bytes = (uint64_t)(disk.f_blocks - disk.f_bfree) * disk.f_bsize;
    if (bytes > end->scratch_bytes) end->scratch_bytes = bytes;
    if ((uint64_t)disk.f_bavail * disk.f_bsize < DISK_FULL_BELOW && disk.f_bavail * 8 < disk.f_blocks) end->disk_full = 1;
  }
  /* Empty files take no bytes of a tmpfs, but they take the kernel's memory. */
  const uint64_t files = inodes_of(SCRATCH) + inodes_of(SHARED_MEMORY);
  if (files > end->files) end->files = files;
  if (files > run->inodes) end->ending = INIT_INODES;
  cpu_set_t processors;
  const uint64_t parallel = sched_getaffinity(0, sizeof processors, &processors) == 0 ? (uint64_t)CPU_COUNT(&processors) : 1;
  const int cpu_possible = end->cpu_us / 1000 + passed_ms * parallel >= run->cpu_ms && !last;
  if (!cpu_possible && !run->watch_memory_bytes) return;
  struct use use;
  look_at_processes(&use, run->watch_memory_bytes != 0);
  use.cpu_ms -= use.cpu_ms < server_cpu_before_ms() ? use.cpu_ms : server_cpu_before_ms();
  if (!last && end->cpu_us / 1000 + use.cpu_ms >= run->cpu_ms) end->ending = INIT_CPU;
  if (!run->watch_memory_bytes) return;
  if (use.threads > end->threads) end->threads = (uint32_t)use.threads;
  if (use.memory_bytes > run->watch_memory_bytes) use.memory_bytes = shared_memory_exact();
  if (use.memory_bytes > end->peak_bytes) end->peak_bytes = use.memory_bytes;
  if (use.memory_bytes > run->watch_memory_bytes) end->ending = INIT_MEMORY;
  else if (use.threads + 1 >= run->processes) end->ending = INIT_PROCESSES; /* init is one of those that the kernel counts */
}

/* What the runner said meanwhile; a pause cannot have been longer than the index is old: it began in the middle of one, then. */
static void take_orders(uint64_t started, uint64_t *paused, struct init_end *end) {
  struct pollfd control = {INIT_CONTROL_FD, POLLIN, 0};
  while (end->ending == INIT_EXITED && poll(&control, 1, 0) > 0) {
    if (read_order(paused)) end->ending = INIT_STOPPED;
    if (*paused > now_ms() - started) *paused = now_ms() - started;
  }
}

/* Until the command has ended, end->ending says why it has to, or its server has failed it. Time that everything stood still, `paused`, is no time that it ran. */
static void wait_for_end(const struct init_run *run, const struct warm_request *warm, int fresh, struct ended *ended, int signals, uint64_t started, uint64_t *paused, struct init_end *end) {
  uint64_t pause = run->watch_memory_bytes ? FIRST_TICK_MS : TICK_MS, next_look = pause;
  int looked = 0;
  while (end->ending == INIT_EXITED && !ended->over && (ended->command || !ended->broken)) {
    const int listening = warm && !ended->broken;
    uint64_t passed = now_ms() - started - *paused;
    if (passed >= run->wall_ms) {
      /* Of a pause we are told before we go on, so that a limit is never met by it. */
      const uint64_t known = *paused;
      take_orders(started, paused, end);
      if (*paused != known || end->ending != INIT_EXITED) continue;
      end->ending = INIT_TIMEOUT;
      break;
    }
    if (!fresh && !looked && passed >= FORKED_AFTER_MS) {
      looked = 1;
      ended->broken = server_is_alone();
      continue;
    }
    if (passed >= next_look) {
      watch(run, passed, 0, end);
      pause = pause * 2 < TICK_MS ? pause * 2 : TICK_MS;
      next_look = now_ms() - started - *paused + pause;
      continue;
    }
    const uint64_t until = next_look < run->wall_ms ? next_look : run->wall_ms;
    struct pollfd watched[5] = {{signals, POLLIN, 0},
                                {INIT_CONTROL_FD, POLLIN, 0},
                                {out_stream.open ? out_stream.fd : -1, POLLIN, 0},
                                {err_stream.open ? err_stream.fd : -1, POLLIN, 0},
                                {listening ? server_fd() : -1, (short)(server_wants_more() ? POLLIN | POLLOUT : POLLIN), 0}};
    poll(watched, 5, (int)(until - passed));
    if (watched[1].revents) {
      take_orders(started, paused, end);
      continue;
    }
    if (watched[2].revents) take(&out_stream, run->stdio_bytes);
    if (watched[3].revents) take(&err_stream, run->stdio_bytes);
    if (out_stream.total > run->stdio_bytes || err_stream.total > run->stdio_bytes) end->ending = INIT_OUTPUT;
    if (watched[4].revents & POLLOUT) server_push();
    if (listening) {
      const int said = server_says(warm, &ended->status);
      ended->over = said > 0;
      ended->broken = said < 0;
    }
    if (watched[0].revents) {
      struct signalfd_siginfo info;
      (void)!read(signals, &info, sizeof info);
      reap(ended, end);
    }
  }
}

static void set_exit(int status, const struct init_run *run, struct init_end *end) {
  if (!WIFSIGNALED(status)) {
    end->exit_code = (uint32_t)WEXITSTATUS(status);
    return;
  }
  const int signal_number = WTERMSIG(status);
  if (signal_number == SIGXCPU || (signal_number == SIGKILL && end->cpu_us / 1000 >= run->cpu_ms)) end->ending = INIT_CPU;
  end->exit_code = 128u + (uint32_t)signal_number;
}

/* The server did not bring the index to its start: its own failure is the index's, as that of the command would be. */
static void set_server_failure(int status, const struct init_run *run, struct init_end *end) {
  static const char why[] = "tnode: the warm command did not start the index as docs/task-yaml.md says\n";
  if ((WIFEXITED(status) && WEXITSTATUS(status) != 0) || (WIFSIGNALED(status) && WTERMSIG(status) != SIGKILL)) {
    set_exit(status, run, end);
    return;
  }
  keep(&err_stream, why, sizeof why - 1);
  end->exit_code = 126;
}

void run_index(const struct init_run *run, char **argv, char **env, const struct warm_request *warm, int signals, struct init_end *end) {
  memset(end, 0, sizeof *end);
  const uint64_t started_us = now_us(), started = started_us / 1000;
  uint64_t paused = 0;
  struct ended ended;
  for (;;) {
    memset(&ended, 0, sizeof ended);
    int fresh = 1; /* nothing to put in its place */
    int stdio[3];
    if (warm) {
      fresh = server_begin(run, warm);
    } else {
      open_stdio(stdio);
      ended.command = start_program(run, argv, env, stdio, -1);
    }
    wait_for_end(run, warm, fresh, &ended, signals, started, &paused, end);
    if (!warm) close_all(stdio); /* not before: the end of a stream would wake us just before the command's own does */
    if (fresh || ended.over || end->ending != INIT_EXITED) break;
    /* A server that served before and now does not: the index begins again with a new one, which begins with a clean sandbox. */
    kill_the_rest(&ended, end);
    server_forget();
  }
  const int failed = !ended.over || ended.status != 0;
  if (warm && ended.over) end->cpu_us += server_cpu_used_ms() * 1000;
  if (failed) watch(run, now_ms() - started - paused, 1, end);
  reap(&ended, end);
  const int stays = warm && !failed && !ended.server && server_is_alone() && !server_was_changed();
  if (!stays) kill_the_rest(&ended, end);
  take(&out_stream, run->stdio_bytes);
  take(&err_stream, run->stdio_bytes);
  if (!warm) {
    close(out_stream.fd);
    close(err_stream.fd);
  } else if (!stays) {
    server_forget();
  }
  if (ended.over && (out_stream.total > run->stdio_bytes || err_stream.total > run->stdio_bytes)) end->ending = INIT_OUTPUT;
  if (ended.over) set_exit(ended.status, run, end);
  else if (end->ending == INIT_EXITED) set_server_failure(ended.server_status, run, end);
  end->wall_us = now_us() - started_us - paused * 1000;
  end->stdout_bytes = out_stream.total;
  end->stderr_bytes = err_stream.total;
  end->stdout_tail = out_stream.tail_size;
  end->stderr_tail = err_stream.tail_size;
}
