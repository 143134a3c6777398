/* The task's warm command (docs/task-yaml.md): starts once, then forks a child for each index. It is the task's, so nothing it says is
   trusted: one that does not keep to the protocol is ended, and the next index has a new one. */
#define _GNU_SOURCE
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/uio.h>
#include <sys/wait.h>
#include <unistd.h>

#include "init.h"

enum { MAX_LINE = 64, PIPE_BYTES = 65536, CLEAN_SLICE_MS = 200 };
/* How often a server that rests is looked at, and what it and whatever it left may use meanwhile. */
enum { REST_LOOK_MS = 50, REST_CPU_MS = 20 };

static struct {
  pid_t pid; /* 0: there is none */
  int fd, stdio[3]; /* our end of its socket; its streams, as it has them */
  enum { STARTING, CLEANING, READY, ASKED } state;
  int stopped;
  uint64_t cpu_before_ms;
  struct settings settings; /* when it was ready */
  char line[MAX_LINE];
  size_t line_size;
  char head[MAX_LINE];
  const char *unsent[2];
  size_t unsent_size[2];
} server;

pid_t server_pid(void) { return server.pid; }
int server_fd(void) { return server.pid ? server.fd : -1; }
uint64_t server_cpu_before_ms(void) { return server.pid ? server.cpu_before_ms : 0; }
int server_wants_more(void) { return server.pid && server.unsent_size[0] + server.unsent_size[1] > 0; }

void server_forget(void) {
  if (!server.pid) return;
  close(server.fd);
  close_all(server.stdio);
  close(out_stream.fd);
  close(err_stream.fd);
  server.pid = 0;
}

/* What an index can change of the descriptions and pipes that it shares with the server and so with the next index: flags, signals, locks, modes, sizes. */
static void reset_streams(void) {
  uint64_t no_hint = 0;
  struct flock unlocked = {.l_type = F_UNLCK, .l_whence = SEEK_SET};
  for (int i = 0; i < 3; ++i) {
    fcntl(server.stdio[i], F_SETFL, 0);
    fcntl(server.stdio[i], F_SETOWN, 0);
    fcntl(server.stdio[i], F_SETSIG, 0);
    fcntl(server.stdio[i], F_OFD_SETLK, &unlocked);
    flock(server.stdio[i], LOCK_UN);
    if (i == 0) continue; /* no pipe */
    fchmod(server.stdio[i], 0600);
    fcntl(server.stdio[i], F_SET_RW_HINT, &no_hint);
    if (fcntl(server.stdio[i], F_GETPIPE_SZ) != PIPE_BYTES) fcntl(server.stdio[i], F_SETPIPE_SZ, PIPE_BYTES);
  }
  forget(&out_stream);
  forget(&err_stream);
}

static void ask(const struct warm_request *request) {
  server.unsent[0] = server.head;
  server.unsent_size[0] = (size_t)snprintf(server.head, sizeof server.head, "run %u %u %zu\n", request->argc, request->envc, request->size);
  server.unsent[1] = request->strings;
  server.unsent_size[1] = request->size;
  server.state = ASKED;
  server_push();
}

/* Both parts at once when they fit: a server in a few lines may read just once. */
void server_push(void) {
  while (server_wants_more()) {
    struct iovec parts[2] = {{(void *)server.unsent[0], server.unsent_size[0]}, {(void *)server.unsent[1], server.unsent_size[1]}};
    struct msghdr message = {.msg_iov = parts, .msg_iovlen = 2};
    ssize_t put = sendmsg(server.fd, &message, MSG_NOSIGNAL | MSG_DONTWAIT);
    if (put < 0 && errno == EINTR) continue;
    if (put <= 0) return; /* later; one that is gone is seen when it is read from */
    for (int i = 0; i < 2; ++i) {
      const size_t part = (size_t)put < server.unsent_size[i] ? (size_t)put : server.unsent_size[i];
      server.unsent[i] += part;
      server.unsent_size[i] -= part;
      put -= (ssize_t)part;
    }
  }
}

int server_begin(const struct init_run *run, const struct warm_request *request) {
  const int there = server.pid != 0;
  if (there) {
    if (server.stopped) kill(server.pid, SIGCONT);
    server.stopped = 0;
    reset_streams();
    ask(request);
    return 0;
  }
  int sockets[2];
  must(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, sockets) == 0);
  memset(&server, 0, sizeof server);
  open_stdio(server.stdio);
  server.fd = sockets[0];
  server.pid = start_program(run, request->server_argv, request->server_env, server.stdio, sockets[1]);
  close(sockets[1]);
  return 1;
}

/* One line, when a whole one is there: 1; 0 when not yet; -1 when there will be none. */
static int next_line(void) {
  while (server.line_size < sizeof server.line) {
    char c;
    ssize_t got = recv(server.fd, &c, 1, MSG_DONTWAIT);
    if (got < 0 && errno == EINTR) continue;
    if (got < 0) return errno == EAGAIN ? 0 : -1;
    if (got == 0) return -1;
    if (c == '\n') {
      server.line[server.line_size] = 0;
      server.line_size = 0;
      return 1;
    }
    server.line[server.line_size++] = c;
  }
  return -1;
}

/* "exited N" or "killed N", as wait() would have it; -1 for anything else. */
static int status_in(const char *line) {
  char *end;
  const int killed = strncmp(line, "killed ", 7) == 0;
  if (!killed && strncmp(line, "exited ", 7) != 0) return -1;
  const long number = strtol(line + 7, &end, 10);
  if (*end || end == line + 7 || number < (killed ? 1 : 0) || number > (killed ? 64 : 255)) return -1;
  return killed ? (int)number : (int)number << 8;
}

int server_says(const struct warm_request *request, int *status) {
  for (;;) {
    if (server.state == CLEANING) {
      if (!clean(now_ms() + CLEAN_SLICE_MS)) return 0; /* limits are looked at meanwhile */
      server.cpu_before_ms = cpu_of_process(server.pid);
      look_at_settings(server.pid, &server.settings);
      ask(request);
    }
    const int there = next_line();
    if (there <= 0) return there;
    if (server.state == STARTING && strcmp(server.line, "ready") == 0) {
      /* What it said, wrote and used so far is no index's. */
      take(&out_stream, UINT64_MAX);
      take(&err_stream, UINT64_MAX);
      forget(&out_stream);
      forget(&err_stream);
      server.state = CLEANING;
    } else if (server.state == ASKED && !server_wants_more() && (*status = status_in(server.line)) >= 0) {
      server.state = READY;
      return 1;
    } else {
      return -1;
    }
  }
}

int server_is_alone(void) {
  DIR *dir = opendir("/proc");
  if (!dir) return 0;
  int others = 0;
  struct dirent *entry;
  while ((entry = readdir(dir)) != NULL)
    if (entry->d_name[0] >= '0' && entry->d_name[0] <= '9') {
      const long pid = strtol(entry->d_name, NULL, 10);
      others += pid != 1 && pid != server.pid;
    }
  closedir(dir);
  return others == 0;
}

uint64_t server_cpu_used_ms(void) {
  const uint64_t now = cpu_of_process(server.pid), used = now > server.cpu_before_ms ? now - server.cpu_before_ms : 0;
  server.cpu_before_ms = now; /* it rests until the next index */
  return used;
}

int server_was_changed(void) {
  static struct settings now;
  look_at_settings(server.pid, &now);
  return memcmp(&now, &server.settings, sizeof now) != 0;
}

/* A timer of its own can wake what was stopped, and what it started since its index ended was never stopped. */
void server_rest(void) {
  if (!server.pid) return;
  if (!server.stopped) kill(server.pid, SIGSTOP);
  server.stopped = 1;
  struct use before, now;
  look_at_processes(&before, 0);
  struct pollfd runner = {INIT_CONTROL_FD, POLLIN, 0};
  while (server.pid && poll(&runner, 1, REST_LOOK_MS) == 0) {
    look_at_processes(&now, 0);
    if (now.cpu_ms > before.cpu_ms + REST_CPU_MS) end_server();
  }
}
