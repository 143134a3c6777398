/* A program of the task's, started with the limits of an index. */
#define _GNU_SOURCE
#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "init.h"

enum { SERVER_FD = 3, MAX_PENDING_SIGNALS = 1024, LONGEST_NAME_SHOWN = 1024 };

static void set_limit(int what, uint64_t soft, uint64_t hard) {
  struct rlimit limit = {soft, hard};
  setrlimit(what, &limit);
}

/* As a shell finds it: by `path` when its name says no folder, and what is no program is one for /bin/sh. Libraries differ in both; results must not.
   Returns when there is none, with errno; changes no memory but its own. */
static void execute(char **argv, char **env, const char *path) {
  static char file[4096], *script[INIT_MAX_STRINGS + 4];
  const char *name = argv[0];
  const int named = strchr(name, '/') != NULL;
  int denied = 0;
  errno = ENOENT;
  for (const char *from = path; *name; from += strcspn(from, ":") + 1) {
    const size_t folder = strcspn(from, ":");
    const int size = named ? snprintf(file, sizeof file, "%s", name) : snprintf(file, sizeof file, "%.*s%s%s", (int)folder, from, folder ? "/" : "", name);
    if (size < (int)sizeof file) execve(file, argv, env);
    else errno = ENAMETOOLONG;
    if (errno == ENOEXEC) {
      script[0] = (char *)"/bin/sh";
      script[1] = file;
      size_t i = 1;
      do script[i + 1] = argv[i];
      while (argv[i++]);
      execve(script[0], script, env);
    }
    denied |= errno == EACCES;
    if (named || (errno != ENOENT && errno != ENOTDIR && errno != EACCES) || !from[folder]) break;
  }
  if (denied) errno = EACCES;
}

static const char *path_in(char **env) {
  for (; *env; ++env)
    if (strncmp(*env, "PATH=", 5) == 0) return *env + 5;
  return "/bin:/usr/bin";
}

/* In the child, which has our memory until it has become the program: changes nothing but its own process. */
static void become(const struct init_run *run, char **argv, char **env, const int stdio[3], int server_end) {
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
  execute(argv, env, path_in(env));
  int why = errno;
  dprintf(2, "tnode: cannot start '%.*s': %s\n", LONGEST_NAME_SHOWN, argv[0], strerror(why)); /* a long one would fill the pipe, and init waits for us */
  _exit(why == ENOENT ? 127 : 126);
}

pid_t start_program(const struct init_run *run, char **argv, char **env, const int stdio[3], int server_end) {
  /* Nothing is copied: the child only arranges itself and executes, and init waits for that. */
  pid_t pid = vfork();
  if (pid == 0) become(run, argv, env, stdio, server_end);
  must(pid > 0);
  return pid;
}
