/* The first process in a sandbox: runs indices one by one, kills what is left of each, streams its outputs out, cleans up.
   Trusted, static, single-threaded, its memory bounded. Ends when its runner does. */
#define _GNU_SOURCE
#include "init.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/signalfd.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#define CLEAN_BESIDE_SERVER_MS 2000

static char request[INIT_MAX_RUN_BYTES];
static char *strings[INIT_MAX_STRINGS + 4];

void must(int good) {
  if (!good) _exit(70);
}

uint64_t now_us(void) {
  struct timespec t;
  clock_gettime(CLOCK_MONOTONIC, &t);
  return (uint64_t)t.tv_sec * 1000000 + (uint64_t)t.tv_nsec / 1000;
}

uint64_t now_ms(void) { return now_us() / 1000; }

static char unsaid[32 << 10];
static size_t unsaid_size;

static void write_all(const char *at, size_t size) {
  while (size > 0) {
    ssize_t put = write(INIT_CONTROL_FD, at, size);
    if (put < 0 && errno == EINTR) continue;
    must(put > 0);
    at += put;
    size -= (size_t)put;
  }
}

void flush(void) {
  write_all(unsaid, unsaid_size);
  unsaid_size = 0;
}

void say(const void *data, size_t size) {
  if (size > sizeof unsaid - unsaid_size) flush();
  if (size > sizeof unsaid) {
    write_all(data, size);
    return;
  }
  memcpy(unsaid + unsaid_size, data, size);
  unsaid_size += size;
}

void say_header(uint32_t type, size_t length) {
  struct init_header header = {type, (uint32_t)length};
  say(&header, sizeof header);
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

static void read_pause(const struct init_header *header, uint64_t *paused_ms) {
  struct init_paused paused;
  must(header->type == INIT_PAUSED && header->length == sizeof paused && read_all(&paused, sizeof paused));
  *paused_ms += paused.ms;
}

int read_order(uint64_t *paused_ms) {
  struct init_header header;
  must(read_all(&header, sizeof header));
  if (header.type == INIT_STOP) return 1;
  read_pause(&header, paused_ms);
  return 0;
}

/* `count` of the strings from `at` on become a NULL-ended list; where the next ones begin. */
static char *list(char *at, const char *end, uint32_t count, char **into) {
  for (uint32_t i = 0; i < count; ++i) {
    must(at < end);
    into[i] = at;
    at += strlen(at) + 1;
  }
  into[count] = NULL;
  return at;
}

/* A request's strings as lists, one after the other in `strings`. */
struct lists { char **argv, **env; struct warm_request warm; };

/* The next index's request; 0 when the runner has no more. */
static int read_request(struct init_run *run, struct lists *lists) {
  struct init_header header;
  for (;;) {
    struct pollfd waiting = {INIT_CONTROL_FD, POLLIN, 0};
    if (poll(&waiting, 1, 0) == 0) server_rest();
    if (!read_all(&header, sizeof header)) return 0;
    if (header.type == INIT_RUN) break;
    uint64_t of_nobody = 0; /* it crossed the end of the index that it was meant for */
    if (header.type != INIT_STOP) read_pause(&header, &of_nobody);
  }
  must(header.length >= sizeof *run && header.length <= sizeof *run + sizeof request - 1);
  size_t size = header.length - sizeof *run;
  must(read_all(run, sizeof *run) && read_all(request, size));
  request[size] = 0;
  const uint64_t count = (uint64_t)run->warm_argc + run->warm_envc + run->argc + run->envc;
  must(run->argc > 0 && count <= INIT_MAX_STRINGS);
  const char *end = request + size;
  lists->warm = (struct warm_request){.server_argv = strings, .server_env = strings + run->warm_argc + 1, .argc = run->argc, .envc = run->envc};
  lists->argv = lists->warm.server_env + run->warm_envc + 1;
  lists->env = lists->argv + run->argc + 1;
  char *at = list(request, end, run->warm_argc, lists->warm.server_argv);
  at = list(at, end, run->warm_envc, lists->warm.server_env);
  lists->warm.strings = at;
  at = list(at, end, run->argc, lists->argv);
  at = list(at, end, run->envc, lists->env);
  lists->warm.size = (size_t)(at - lists->warm.strings);
  return 1;
}

int main(void) {
  prctl(PR_SET_DUMPABLE, 0, 0, 0, 0); /* the task has our user id: keep it from our memory and descriptors */
  fcntl(INIT_CONTROL_FD, F_SETFD, FD_CLOEXEC);
  umask(022);
  signal(SIGPIPE, SIG_IGN);
  struct sigaction only_ends = {.sa_handler = SIG_DFL, .sa_flags = SA_NOCLDSTOP}; /* a server that rests is no news */
  sigaction(SIGCHLD, &only_ends, NULL);
  sigset_t child;
  sigemptyset(&child);
  sigaddset(&child, SIGCHLD);
  sigprocmask(SIG_BLOCK, &child, NULL);
  int signals = signalfd(-1, &child, SFD_CLOEXEC | SFD_NONBLOCK);
  must(signals >= 0);
  must(clean(AS_LONG_AS_IT_TAKES));
  say_header(INIT_READY, 0);
  flush();
  struct init_run run;
  struct lists lists;
  while (read_request(&run, &lists)) {
    struct init_end end;
    run_index(&run, lists.argv, lists.env, run.warm_argc ? &lists.warm : NULL, signals, &end);
    say_header(INIT_END, sizeof end + end.stdout_tail + end.stderr_tail);
    say(&end, sizeof end);
    say(out_stream.tail, end.stdout_tail);
    say(err_stream.tail, end.stderr_tail);
    flush(); /* the runner may look at what was counted while we go on */
    if (end.ending != INIT_EXITED || end.exit_code != 0) continue; /* nothing is taken from a failure; the runner ends us */
    if (send_outputs()) {
      if (!server_pid() || !clean(now_ms() + CLEAN_BESIDE_SERVER_MS)) {
        if (server_pid()) end_server();
        must(clean(AS_LONG_AS_IT_TAKES));
      }
      say_header(INIT_COLLECTED, 0);
    }
    flush();
  }
  return 0;
}
