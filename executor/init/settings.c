/* What one process can change of another that has its user id: an index of its warm command, from which the next index would inherit it. */
#define _GNU_SOURCE
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "init.h"

void look_at_settings(pid_t pid, struct settings *settings) {
  memset(settings, 0, sizeof *settings);
  for (int what = 0; what < RLIM_NLIMITS; ++what) prlimit(pid, what, NULL, &settings->limits[what]);
  sched_getaffinity(pid, sizeof settings->processors, &settings->processors);
  settings->nice = getpriority(PRIO_PROCESS, (id_t)pid);
  settings->policy = (int)syscall(SYS_sched_getscheduler, pid); /* not every C library makes this call */
}
