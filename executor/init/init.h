/* The parts of the sandbox's first process, among themselves. */
#ifndef TNODE_INIT_H
#define TNODE_INIT_H
#include <stddef.h>
#include <stdint.h>
#include <sys/resource.h>

#include "protocol.h"

/* The one file system of a sandbox that can be written and holds data: out/ and /tmp are links into it, so that one size caps both. */
#define SCRATCH "/scratch"
#define SCRATCH_OUT SCRATCH "/out"
#define SCRATCH_TMP SCRATCH "/tmp"

/* init.c: the conversation. A runner that is gone ends the process, and with it the sandbox. */
void must(int good);
void write_all(const void *data, size_t size);
void send_header(uint32_t type, size_t length);
/* Reads what the runner says while an index runs: 1 to end it; 0 when it stood still for the time that is added to `paused_ms`. */
int read_order(uint64_t *paused_ms);
uint64_t now_us(void);
uint64_t now_ms(void);

/* index.c: one index, from its start until nothing of it lives. argv and env are NULL-ended. */
struct tails { const char *out, *err; };
struct tails run_index(const struct init_run *run, char **argv, char **env, int signals, struct init_end *end);

/* watch.c: what all processes of the sandbox but this one use now. */
struct use { uint64_t cpu_ms, memory_bytes, threads; };
void look_at_processes(struct use *use, int with_memory);
uint64_t shared_memory_exact(void);

/* outputs.c: streams out/ to the runner; 0 when something in it was refused and said so. */
int send_outputs(void);
/* A folder of our own user may have lost its permissions; the task is dead, so nothing races. */
int open_folder(int at, const char *name);

/* clean.c */
void clean(void);
#endif
