/* The first process in a sandbox: runs indices one by one, kills what is left of each, streams its outputs out, cleans up.
   Trusted, static, single-threaded, its memory bounded. Ends when its runner does. */
#define _GNU_SOURCE
#include "init.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/signalfd.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#define MAX_STRINGS 16384

static char request[INIT_MAX_RUN_BYTES];
static char *strings[MAX_STRINGS + 2];

void must(int good) {
  if (!good) _exit(70);
}

uint64_t now_us(void) {
  struct timespec t;
  clock_gettime(CLOCK_MONOTONIC, &t);
  return (uint64_t)t.tv_sec * 1000000 + (uint64_t)t.tv_nsec / 1000;
}

uint64_t now_ms(void) { return now_us() / 1000; }

void write_all(const void *data, size_t size) {
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

void send_header(uint32_t type, size_t length) {
  struct init_header header = {type, (uint32_t)length};
  write_all(&header, sizeof header);
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

/* The next index's request, its strings laid out as argv, NULL, env, NULL; 0 when the runner has no more. */
static int read_request(struct init_run *run) {
  struct init_header header;
  for (;;) {
    if (!read_all(&header, sizeof header)) return 0;
    if (header.type == INIT_RUN) break;
    uint64_t of_nobody = 0; /* it crossed the end of the index that it was meant for */
    if (header.type != INIT_STOP) read_pause(&header, &of_nobody);
  }
  must(header.length >= sizeof *run && header.length <= sizeof *run + sizeof request - 1);
  size_t size = header.length - sizeof *run;
  must(read_all(run, sizeof *run) && read_all(request, size));
  request[size] = 0;
  must(run->argc > 0 && run->argc <= MAX_STRINGS && run->envc <= MAX_STRINGS - run->argc);
  char *at = request;
  for (uint32_t i = 0; i < run->argc + run->envc; ++i) {
    must(at < request + size);
    strings[i < run->argc ? i : i + 1] = at;
    at += strlen(at) + 1;
  }
  strings[run->argc] = NULL;
  strings[run->argc + run->envc + 1] = NULL;
  return 1;
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
  clean();
  send_header(INIT_READY, 0);
  struct init_run run;
  while (read_request(&run)) {
    struct init_end end;
    struct tails tails = run_index(&run, strings, strings + run.argc + 1, signals, &end);
    send_header(INIT_END, sizeof end + end.stdout_tail + end.stderr_tail);
    write_all(&end, sizeof end);
    write_all(tails.out, end.stdout_tail);
    write_all(tails.err, end.stderr_tail);
    if (end.ending != INIT_EXITED || end.exit_code != 0) continue; /* nothing is taken from a failure; the runner ends us */
    if (!send_outputs()) continue;
    clean();
    send_header(INIT_COLLECTED, 0);
  }
  return 0;
}
