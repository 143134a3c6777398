/* What an index says on stdout and stderr: counted, its end kept. */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <unistd.h>

#include "init.h"

struct stream out_stream, err_stream;

static void open_stream(struct stream *s, int *write_end) {
  int ends[2];
  must(pipe2(ends, O_CLOEXEC) == 0);
  s->fd = ends[0];
  fcntl(s->fd, F_SETFL, O_NONBLOCK);
  forget(s);
  *write_end = ends[1];
}

void open_stdio(int stdio[3]) {
  stdio[0] = open("/dev/null", O_RDONLY | O_CLOEXEC);
  must(stdio[0] >= 0);
  open_stream(&out_stream, &stdio[1]);
  open_stream(&err_stream, &stdio[2]);
}

void close_all(const int stdio[3]) {
  for (int i = 0; i < 3; ++i) close(stdio[i]);
}

void forget(struct stream *s) {
  s->open = 1;
  s->total = 0;
  s->tail_size = 0;
}

void keep(struct stream *s, const char *text, size_t size) {
  if (size >= INIT_TAIL_BYTES) {
    memcpy(s->tail, text + size - INIT_TAIL_BYTES, INIT_TAIL_BYTES);
    s->tail_size = INIT_TAIL_BYTES;
    return;
  }
  size_t kept = s->tail_size + size > INIT_TAIL_BYTES ? INIT_TAIL_BYTES - size : s->tail_size;
  memmove(s->tail, s->tail + s->tail_size - kept, kept);
  memcpy(s->tail + kept, text, size);
  s->tail_size = (uint32_t)(kept + size);
}

/* Stops when the limit is passed, however fast the other side writes. */
void take(struct stream *s, uint64_t limit) {
  static char buffer[65536];
  while (s->open && s->total <= limit) {
    ssize_t got = read(s->fd, buffer, sizeof buffer);
    if (got < 0 && errno == EINTR) continue;
    if (got < 0) return;
    if (got == 0) {
      s->open = 0;
      return;
    }
    s->total += (uint64_t)got;
    keep(s, buffer, (size_t)got);
  }
}
