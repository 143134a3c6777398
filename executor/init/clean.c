/* Makes the sandbox as it was before an index: no files, no System V memory, queues or semaphores. Of the task nobody lives but its server, if it has one. */
#define _GNU_SOURCE
#include <dirent.h>
#include <fcntl.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/ipc.h>
#include <sys/msg.h>
#include <sys/sem.h>
#include <sys/shm.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <sys/xattr.h>
#include <unistd.h>

#include "init.h"

/* As <linux/fs.h> has them, which not every C library finds. */
#define GET_FLAGS ((int)_IOR('f', 1, long))
#define SET_FLAGS ((int)_IOW('f', 2, long))

/* Empties a folder of any depth without recursion: goes down into what is not empty, and up again by "..". 0 when time ran out. */
static int empty(const char *top, uint64_t until_ms) {
  int fd = open(top, O_RDONLY | O_DIRECTORY | O_CLOEXEC), in_time = 1;
  if (fd < 0) return 1;
  uint64_t depth = 0;
  while ((in_time = now_ms() < until_ms)) {
    int went_down = 0;
    int again = openat(fd, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    DIR *dir = again < 0 ? NULL : fdopendir(again);
    if (!dir) break;
    struct dirent *entry;
    while (!went_down && (entry = readdir(dir)) != NULL) {
      if (strcmp(entry->d_name, ".") == 0 || strcmp(entry->d_name, "..") == 0) continue;
      if (unlinkat(fd, entry->d_name, 0) == 0 || unlinkat(fd, entry->d_name, AT_REMOVEDIR) == 0) continue;
      int below = open_folder(fd, entry->d_name);
      if (below < 0) continue;
      close(fd);
      fd = below;
      ++depth;
      went_down = 1;
    }
    closedir(dir);
    if (went_down) continue;
    if (depth == 0) break;
    int up = openat(fd, "..", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    close(fd);
    if (up < 0) return 1;
    fd = up;
    --depth;
  }
  close(fd);
  return in_time;
}

/* Of a folder that stays: what the task noted on it goes, access lists, attributes and flags. Names come one after the other, each ended by NUL. */
static void remove_attributes(const char *path) {
  static char names[65536];
  int fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC), none = 0;
  ioctl(fd, SET_FLAGS, &none);
  close(fd);
  ssize_t size = listxattr(path, names, sizeof names);
  for (char *name = names; size > 0 && name < names + size; name += strlen(name) + 1) removexattr(path, name);
}

/* Of any mode: what nobody may read can be found by its key all the same, and then be given another mode. */
static void remove_system_v(void) {
  struct shm_info memory;
  struct shmid_ds segment;
  int last = shmctl(0, SHM_INFO, (struct shmid_ds *)(void *)&memory);
  for (int i = 0; i <= last && memory.used_ids > 0; ++i) {
    int id = shmctl(i, SHM_STAT_ANY, &segment);
    if (id >= 0) shmctl(id, IPC_RMID, NULL);
  }
  struct seminfo semaphores;
  struct semid_ds set;
  last = semctl(0, 0, SEM_INFO, &semaphores);
  for (int i = 0; i <= last && semaphores.semusz > 0; ++i) {
    int id = semctl(i, 0, SEM_STAT_ANY, &set);
    if (id >= 0) semctl(id, 0, IPC_RMID);
  }
  struct msginfo queues;
  struct msqid_ds queue;
  last = msgctl(0, MSG_INFO, (struct msqid_ds *)(void *)&queues);
  for (int i = 0; i <= last && queues.msgpool > 0; ++i) {
    int id = msgctl(i, MSG_STAT_ANY, &queue);
    if (id >= 0) msgctl(id, IPC_RMID, NULL);
  }
}

uint64_t inodes_of(const char *path) {
  struct statvfs fs;
  return statvfs(path, &fs) == 0 ? fs.f_files - fs.f_ffree : 0;
}

static int has_flags(const char *path) {
  int flags = 0, fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
  const int known = ioctl(fd, GET_FLAGS, &flags) == 0; /* older kernels have none on a tmpfs */
  close(fd);
  return known && flags != 0;
}

/* The folder we made there, as we made it. */
static int untouched(const char *path, ino_t inode, mode_t mode) {
  struct stat st;
  return lstat(path, &st) == 0 && S_ISDIR(st.st_mode) && st.st_ino == inode && (st.st_mode & 07777) == mode && listxattr(path, NULL, 0) <= 0 && !has_flags(path);
}

static ino_t make_folder(const char *path, mode_t mode) {
  struct stat st;
  return mkdir(path, mode) == 0 && chmod(path, mode) == 0 && stat(path, &st) == 0 ? st.st_ino : 0; /* umask does not apply to the second */
}

int clean(uint64_t until_ms) {
  static ino_t out, tmp;
  enum { SCRATCH_EMPTY = 3, SHM_EMPTY = 1 }; /* its root, out/ and tmp/; its root */
  chmod(SCRATCH, 0755);
  chmod(SHARED_MEMORY, 01777);
  chmod("/dev/pts", 0755); /* the task's user made it: bubblewrap was that */
  chmod("/dev/pts/ptmx", 0666);
  remove_attributes(SCRATCH);
  remove_attributes(SHARED_MEMORY);
  remove_system_v();
  if (inodes_of(SHARED_MEMORY) != SHM_EMPTY && !empty(SHARED_MEMORY, until_ms)) return 0;
  /* Most indices leave nothing: no more inodes than our own, and those where they were. */
  if (inodes_of(SCRATCH) == SCRATCH_EMPTY && untouched(SCRATCH_OUT, out, 0755) && untouched(SCRATCH_TMP, tmp, 01777)) return 1;
  if (!empty(SCRATCH, until_ms)) return 0;
  out = make_folder(SCRATCH_OUT, 0755);
  tmp = make_folder(SCRATCH_TMP, 01777);
  return out && tmp;
}
