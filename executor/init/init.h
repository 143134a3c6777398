/* The parts of the sandbox's first process, among themselves. */
#ifndef TNODE_INIT_H
#define TNODE_INIT_H
#include <sched.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/resource.h>
#include <sys/types.h>

#include "protocol.h"

/* The one file system of a sandbox that can be written and holds data: out/ and /tmp are links into it, so that one size caps both. */
#define SCRATCH "/scratch"
#define SCRATCH_OUT SCRATCH "/out"
#define SCRATCH_TMP SCRATCH "/tmp"
#define SHARED_MEMORY "/dev/shm"

/* init.c: the conversation. A runner that is gone ends the process, and with it the sandbox. */
void must(int good);
/* Written when much has come together, or flushed. */
void say(const void *data, size_t size);
void say_header(uint32_t type, size_t length);
void flush(void);
/* Reads what the runner says while an index runs: 1 to end it; 0 when it stood still for the time that is added to `paused_ms`. */
int read_order(uint64_t *paused_ms);
uint64_t now_us(void);
uint64_t now_ms(void);

/* streams.c: an index's stdin, stdout and stderr. */
struct stream {
  int fd, open;
  uint64_t total;
  uint32_t tail_size;
  char tail[INIT_TAIL_BYTES];
};
extern struct stream out_stream, err_stream;
/* Descriptors for a program: an empty stdin, and the ends of both streams. */
void open_stdio(int stdio[3]);
void close_all(const int stdio[3]);
void forget(struct stream *s);
void keep(struct stream *s, const char *text, size_t size);
void take(struct stream *s, uint64_t limit);

/* start.c: argv and env are NULL-ended; server_end, when not negative, becomes its descriptor 3. */
pid_t start_program(const struct init_run *run, char **argv, char **env, const int stdio[3], int server_end);

/* server.c: the task's warm command, when it has one. */
struct warm_request {
  char **server_argv, **server_env;
  const char *strings; /* of the index: argv, then env */
  size_t size;
  uint32_t argc, envc;
};
/* Wakes the server, or starts one: 1 when it is new. */
int server_begin(const struct init_run *run, const struct warm_request *request);
/* Takes what it says, and asks it when it is ready: 1 when the index has ended, with its status; -1 when the server is gone or makes no sense. */
int server_says(const struct warm_request *request, int *status);
void server_push(void);
int server_wants_more(void);
pid_t server_pid(void);
int server_fd(void);
uint64_t server_cpu_before_ms(void);
/* By it and the children that it waited for, since this was asked last. */
uint64_t server_cpu_used_ms(void);
/* No process but init and the server. */
int server_is_alone(void);
/* Somebody gave it other limits, or another priority or place, than it had when it was ready. */
int server_was_changed(void);
/* It is dead, or about to be. */
void server_forget(void);
/* Stops it while there is nothing to do, until the runner says something. It is ended when it goes on nevertheless. */
void server_rest(void);

/* settings.c: what one process can change of another that has its user id. */
struct settings {
  struct rlimit limits[RLIM_NLIMITS];
  cpu_set_t processors;
  int nice, policy;
};
void look_at_settings(pid_t pid, struct settings *settings);

/* index.c: one index, from its start until nothing of it lives. `warm` is null when it is started by itself. */
void run_index(const struct init_run *run, char **argv, char **env, const struct warm_request *warm, int signals, struct init_end *end);

/* The server, and everything that it started, ends. */
void end_server(void);

/* watch.c: what all processes of the sandbox but this one use now. */
struct use { uint64_t cpu_ms, memory_bytes, threads; };
void look_at_processes(struct use *use, int with_memory);
uint64_t shared_memory_exact(void);
/* Its own and that of the children it has waited for. */
uint64_t cpu_of_process(pid_t pid);

/* outputs.c: streams out/ to the runner; 0 when something in it was refused and said so. */
int send_outputs(void);
/* A folder of our own user may have lost its permissions; the task is dead, so nothing races. */
int open_folder(int at, const char *name);

/* clean.c: 0 when it was not done by then, which only a server can see to: by making things anew, or by living deep in what is removed (the kernel
   looks again and again at what somebody holds on to). */
#define AS_LONG_AS_IT_TAKES UINT64_MAX
int clean(uint64_t until_ms);
/* Files and folders of all kinds on a file system. */
uint64_t inodes_of(const char *path);
#endif
