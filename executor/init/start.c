/* A program of the task's, started with the limits of an index. */
#define _GNU_SOURCE
#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "init.h"

enum { SERVER_FD = 3, MAX_PENDING_SIGNALS = 1024 };

static void set_limit(int what, uint64_t soft, uint64_t hard) {
  struct rlimit limit = {soft, hard};
  setrlimit(what, &limit);
}

/* In the child, which has our memory until it has become the program: changes nothing but its own process. */
static void become(const struct init_run *run, char **argv, const int stdio[3], int server_end) {
  sigset_t none;
  sigemptyset(&none);
  signal(SIGPIPE, SIG_DFL);
  sigprocmask(SIG_SETMASK, &none, NULL);
  setsid(); /* a group of its own: what it does to its group does not reach init */
  for (int i = 0; i < 3; ++i)
    if (dup2(stdio[i], i) < 0) _exit(126);
  if (server_end >= 0 && dup2(server_end, SERVER_FD) < 0) _exit(126);
  if (syscall(SYS_close_range, server_end >= 0 ? SERVER_FD + 1 : SERVER_FD, ~0U, 0) != 0) _exit(126);
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
  execvp(argv[0], argv);
  int why = errno;
  dprintf(2, "tnode: cannot start '%s': %s\n", argv[0], strerror(why));
  _exit(why == ENOENT ? 127 : 126);
}

pid_t start_program(const struct init_run *run, char **argv, char **env, const int stdio[3], int server_end) {
  environ = env; /* its PATH is where execvp looks; init itself has no use for one */
  /* Nothing is copied: the child only arranges itself and executes, and init waits for that. */
  pid_t pid = vfork();
  if (pid == 0) become(run, argv, stdio, server_end);
  must(pid > 0);
  return pid;
}
