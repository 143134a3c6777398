/* What the runner and the first process of a sandbox say to each other over one socket. C and C++.
   Each frame is a header and `length` bytes. Numbers are in host order: both ends run on one machine. */
#ifndef TNODE_INIT_PROTOCOL_H
#define TNODE_INIT_PROTOCOL_H
#include <stdint.h>

enum { INIT_CONTROL_FD = 3 };

enum init_frame {
  INIT_READY = 1,     /* from init: the sandbox stands */
  INIT_RUN = 2,       /* to init: struct init_run, then its strings, each ended by NUL: the warm command's argv and env, argv, env */
  INIT_END = 3,       /* from init: struct init_end, then both tails */
  INIT_FILE = 4,      /* from init: struct init_file, then the path; its bytes follow in DATA frames */
  INIT_DATA = 5,      /* from init */
  INIT_BAD = 6,       /* from init: what is wrong, NUL, path: an output that is refused */
  INIT_COLLECTED = 7, /* from init: all outputs of this index were sent, the work folder is clean again */
  INIT_STOP = 8,      /* to init, empty: end the index that runs; an INIT_END follows as always */
  INIT_PAUSED = 9     /* to init: struct init_paused: everything here stood still for so long, which counts for no limit */
};

struct init_header { uint32_t type, length; };

struct init_run {
  uint64_t wall_ms, cpu_ms, stdio_bytes, inodes, open_files, processes;
  uint64_t watch_memory_bytes; /* 0: the kernel limits memory and processes; otherwise init watches both */
  uint32_t warm_argc, warm_envc; /* 0: each index is started by itself */
  uint32_t argc, envc;
};

enum init_ending { INIT_EXITED = 0, INIT_TIMEOUT = 1, INIT_CPU = 2, INIT_OUTPUT = 3, INIT_MEMORY = 4, INIT_PROCESSES = 5, INIT_INODES = 6, INIT_STOPPED = 7 };

struct init_end {
  uint32_t ending, exit_code;
  uint64_t wall_us, cpu_us, peak_bytes, stdout_bytes, stderr_bytes;
  uint64_t scratch_bytes, files; /* most that were seen: bytes in out/ and /tmp together, files there and in /dev/shm */
  uint32_t disk_full, stdout_tail, stderr_tail, threads; /* threads: most that were seen, where init counts them */
};

struct init_paused { uint64_t ms; };

struct init_file { uint64_t size; uint32_t executable, reserved; };

enum { INIT_TAIL_BYTES = 4096, INIT_MAX_RUN_BYTES = 4 << 20, INIT_MAX_STRINGS = 16384, INIT_MAX_DEPTH = 16, INIT_MAX_PATH_BYTES = 8192 };
#endif
