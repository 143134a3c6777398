/* What the task's processes use, read from the sandbox's own /proc: for CPU time of many processes together, and for memory where no
   control group limits it. Never signals anything. */
#define _GNU_SOURCE
#include <dirent.h>
#include <fcntl.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "init.h"

static size_t read_text(const char *pid, const char *name, char *text, size_t capacity) {
  char path[64];
  snprintf(path, sizeof path, "/proc/%s/%s", pid, name);
  int fd = open(path, O_RDONLY | O_CLOEXEC);
  if (fd < 0) return 0;
  ssize_t got = read(fd, text, capacity - 1);
  close(fd);
  if (got <= 0) return 0;
  text[got] = 0;
  return (size_t)got;
}

/* What is behind "Word:" at the start of a line but the first, which may have the process's name in it, and that may be anything. */
static const char *behind(const char *text, const char *word) {
  const size_t length = strlen(word);
  for (const char *line = strchr(text, '\n'); line; line = strchr(line + 1, '\n'))
    if (strncmp(line + 1, word, length) == 0 && line[1 + length] == ':') return line + 1 + length + 1;
  return NULL;
}

/* The number of a "Word:   123 kB" line, in bytes; 0 when it is not there. */
static uint64_t kib_field(const char *text, const char *word) {
  const char *number = behind(text, word);
  return number ? strtoull(number, NULL, 10) * 1024 : 0;
}

/* Bytes sent to local sockets and not yet received belong to no process: each socket counts as full. */
static uint64_t socket_memory(void) {
  static char text[512];
  static uint64_t most_of_one;
  if (most_of_one == 0) most_of_one = read_text("sys", "net/core/wmem_default", text, sizeof text) ? strtoull(text, NULL, 10) : 212992;
  const char *at = read_text("self", "net/sockstat", text, sizeof text) ? strstr(text, "used ") : NULL;
  return at ? strtoull(at + 5, NULL, 10) * most_of_one : 0;
}

/* A process whose first thread has ended shows no memory of its own: another of its threads does. */
static size_t read_memory_status(const char *pid, char *text, size_t capacity) {
  char path[64], thread[64];
  const size_t size = read_text(pid, "status", text, capacity);
  const char *state = size ? behind(text, "State") : NULL;
  if (!state || behind(text, "VmPTE") || strncmp(state, "\tZ", 2) != 0) return size;
  snprintf(path, sizeof path, "/proc/%s/task", pid);
  DIR *threads = opendir(path);
  struct dirent *each;
  int found = 0;
  while (threads && !found && (each = readdir(threads)) != NULL) {
    if (each->d_name[0] == '.' || strcmp(each->d_name, pid) == 0) continue;
    snprintf(thread, sizeof thread, "task/%.20s/status", each->d_name);
    found = read_text(pid, thread, text, capacity) && behind(text, "VmPTE");
  }
  if (threads) closedir(threads);
  return found;
}

static int is_task(const char *name) { return name[0] >= '0' && name[0] <= '9' && strcmp(name, "1") != 0; }

/* CPU time with that of the children it waited for, and threads; 0 when it is gone. */
static int read_stat(const char *pid, uint64_t *cpu_ms, uint64_t *threads) {
  static char text[8192];
  if (!read_text(pid, "stat", text, sizeof text)) return 0;
  const char *at = strrchr(text, ')'); /* a name may hold anything, brackets too */
  unsigned long long user = 0, system = 0, all = 0;
  long long child_user = 0, child_system = 0;
  if (!at || sscanf(at + 1, " %*c %*d %*d %*d %*d %*d %*u %*u %*u %*u %*u %llu %llu %lld %lld %*d %*d %llu", &user, &system, &child_user, &child_system, &all) != 5) return 0;
  *cpu_ms = (user + system + (uint64_t)child_user + (uint64_t)child_system) * (1000 / (uint64_t)sysconf(_SC_CLK_TCK));
  *threads = all;
  return 1;
}

uint64_t cpu_of_process(pid_t pid) {
  char name[16];
  uint64_t cpu_ms = 0, threads = 0;
  snprintf(name, sizeof name, "%d", pid);
  read_stat(name, &cpu_ms, &threads);
  return cpu_ms;
}

void look_at_processes(struct use *use, int with_memory) {
  static char text[8192];
  memset(use, 0, sizeof *use);
  DIR *dir = opendir("/proc");
  if (!dir) return;
  struct dirent *entry;
  while ((entry = readdir(dir)) != NULL) {
    uint64_t cpu_ms, threads;
    if (!is_task(entry->d_name) || !read_stat(entry->d_name, &cpu_ms, &threads)) continue;
    use->cpu_ms += cpu_ms;
    use->threads += threads;
    if (with_memory && read_memory_status(entry->d_name, text, sizeof text)) use->memory_bytes += kib_field(text, "RssAnon") + kib_field(text, "RssShmem") + kib_field(text, "VmSwap") + kib_field(text, "VmPTE");
  }
  closedir(dir);
  if (with_memory) use->memory_bytes += socket_memory();
}

/* Such a thread stands still until a child that has its memory becomes another program; that child is a process that shows all of it, too. */
static int waits_for_a_borrower(const char *pid, const char *thread) {
  char name[48], text[512];
  snprintf(name, sizeof name, "task/%.20s/stat", thread);
  const char *at = read_text(pid, name, text, sizeof text) ? strrchr(text, ')') : NULL;
  if (!at || strncmp(at, ") D", 3) != 0) return 0; /* stopped in that call, it would show it as well, and wait for nobody */
  snprintf(name, sizeof name, "task/%.20s/syscall", thread);
  if (!read_text(pid, name, text, sizeof text)) return 0;
  char *arguments;
  const long number = strtol(text, &arguments, 10);
#ifdef SYS_vfork
  if (number == SYS_vfork) return 1;
#endif
  return number == SYS_clone && (strtoul(arguments, NULL, 16) & (CLONE_VM | CLONE_VFORK)) == (CLONE_VM | CLONE_VFORK);
}

static int64_t borrowers(const char *pid) {
  char path[64];
  snprintf(path, sizeof path, "/proc/%s/task", pid);
  DIR *threads = opendir(path);
  struct dirent *each;
  int64_t found = 0;
  while (threads && (each = readdir(threads)) != NULL) found += each->d_name[0] != '.' && waits_for_a_borrower(pid, each->d_name);
  if (threads) closedir(threads);
  return found;
}

/* Of one process, pages that it shares with others in parts. */
static uint64_t own_memory(const char *pid) {
  static char text[8192];
  uint64_t bytes = 0;
  const int shared_known = read_text(pid, "smaps_rollup", text, sizeof text) && behind(text, "Pss_Anon");
  if (shared_known) bytes = kib_field(text, "Pss_Anon") + kib_field(text, "Pss_Shmem") + kib_field(text, "SwapPss");
  if (!read_memory_status(pid, text, sizeof text)) return bytes;
  bytes += kib_field(text, "VmPTE");
  if (!shared_known) bytes += kib_field(text, "RssAnon") + kib_field(text, "RssShmem") + kib_field(text, "VmSwap"); /* it hides its map from us: then all of it counts */
  return bytes;
}

/* What several processes share is counted once; slower, so only asked when the quick sum is too high. */
uint64_t shared_memory_exact(void) {
  int64_t sum = 0;
  DIR *dir = opendir("/proc");
  if (!dir) return 0;
  struct dirent *entry;
  while ((entry = readdir(dir)) != NULL)
    if (is_task(entry->d_name)) sum += (int64_t)own_memory(entry->d_name) * (1 - borrowers(entry->d_name));
  closedir(dir);
  return (sum > 0 ? (uint64_t)sum : 0) + socket_memory();
}
