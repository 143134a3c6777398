#include "executor/doorman.h"

#include <poll.h>
#include <sched.h>
#include <signal.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>

namespace tnode {
namespace {

constexpr std::size_t stack_bytes = 256 << 10;  // of the child until it has become its program
constexpr int descriptors_sent = 2;
constexpr auto by_handle = static_cast<idtype_t>(3);  // P_PIDFD, which not every C library names

bool whole(ssize_t (*move)(int, void*, std::size_t), int fd, void* data, std::size_t size) {
  for (char* at = static_cast<char*>(data); size > 0;) {
    const ssize_t moved = move(fd, at, size);
    if (moved < 0 && errno == EINTR) continue;
    if (moved <= 0) return false;
    at += moved;
    size -= static_cast<std::size_t>(moved);
  }
  return true;
}
bool receive_all(int fd, void* data, std::size_t size) {
  return whole([](int from, void* to, std::size_t bytes) { return recv(from, to, bytes, 0); }, fd, data, size);
}
bool send_all(int fd, const void* data, std::size_t size) {
  return whole([](int to, void* from, std::size_t bytes) { return send(to, from, bytes, MSG_NOSIGNAL); }, fd, const_cast<void*>(data), size);
}

/// The size of what follows, and the descriptors, in one message.
struct Message {
  std::uint32_t size = 0;
  iovec part{&size, sizeof size};
  alignas(cmsghdr) char ancillary[CMSG_SPACE(sizeof(int) * descriptors_sent)] = {};
  msghdr header{};
  Message() {
    header.msg_iov = &part;
    header.msg_iovlen = 1;
    header.msg_control = ancillary;
    header.msg_controllen = sizeof ancillary;
  }
  Message(const Message&) = delete;
  Message& operator=(const Message&) = delete;
};

bool send_start(int socket, const std::vector<std::string>& argv, const int (&descriptors)[descriptors_sent]) {
  std::string strings;
  for (const auto& argument : argv) strings.append(argument).push_back('\0');
  Message message;
  message.size = static_cast<std::uint32_t>(strings.size());
  cmsghdr* control = CMSG_FIRSTHDR(&message.header);
  control->cmsg_level = SOL_SOCKET;
  control->cmsg_type = SCM_RIGHTS;
  control->cmsg_len = CMSG_LEN(sizeof descriptors);
  std::memcpy(CMSG_DATA(control), descriptors, sizeof descriptors);
  return sendmsg(socket, &message.header, MSG_NOSIGNAL) == static_cast<ssize_t>(sizeof message.size) && send_all(socket, strings.data(), strings.size());
}

bool receive_start(int socket, std::string& strings, int (&descriptors)[descriptors_sent]) {
  Message message;
  ssize_t got;
  while ((got = recvmsg(socket, &message.header, MSG_CMSG_CLOEXEC | MSG_WAITALL)) < 0 && errno == EINTR) {}
  const cmsghdr* control = got == static_cast<ssize_t>(sizeof message.size) ? CMSG_FIRSTHDR(&message.header) : nullptr;
  if (!control || control->cmsg_len != CMSG_LEN(sizeof descriptors)) return false;
  std::memcpy(descriptors, CMSG_DATA(control), sizeof descriptors);
  strings.resize(message.size);
  return receive_all(socket, strings.data(), strings.size());
}

void close_all_but(std::vector<int> kept) {
  std::sort(kept.begin(), kept.end());
  unsigned from = 0;
  for (int each : kept) {
    const auto number = static_cast<unsigned>(each);
    if (number > from) syscall(SYS_close_range, from, number - 1, 0U);
    from = std::max(from, number + 1);
  }
  syscall(SYS_close_range, from, ~0U, 0U);
}

struct Start {
  const Doorman::Become* become;
  char* const* argv;
  int control, errors;
};

int enter_program(void* data) {
  const auto* start = static_cast<const Start*>(data);
  (*start->become)(start->argv, start->control, start->errors);
  _exit(1);
}

[[noreturn]] void serve(int socket, const Doorman::Become& become) {
  void* stack = mmap(nullptr, stack_bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_STACK, -1, 0);
  if (stack == MAP_FAILED) _exit(1);
  std::string strings;
  int descriptors[descriptors_sent];
  while (receive_start(socket, strings, descriptors)) {
    std::vector<char*> argv;
    for (std::size_t at = 0; at < strings.size(); at = strings.find('\0', at) + 1) argv.push_back(strings.data() + at);
    argv.push_back(nullptr);
    Start start{&become, argv.data(), descriptors[0], descriptors[1]};
    const pid_t child = clone(enter_program, static_cast<char*>(stack) + stack_bytes, CLONE_VM | CLONE_VFORK | CLONE_PARENT | SIGCHLD, &start);
    for (int each : descriptors) close(each);
    if (!send_all(socket, &child, sizeof child)) break;
  }
  _exit(0);
}

}  // namespace

std::unique_ptr<Doorman> Doorman::employ(const Enter& enter, const Become& become, std::vector<int> kept) {
  int sockets[2];
  if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, sockets) != 0) return nullptr;
  const pid_t employer = getpid(), pid = fork();
  if (pid == 0) {
    prctl(PR_SET_NAME, "tnode-doorman");
    prctl(PR_SET_PDEATHSIG, SIGKILL);
    if (getppid() != employer) _exit(1);
    kept.push_back(sockets[1]);
    close_all_but(kept);
    if (!enter()) _exit(1);
    serve(sockets[1], become);
  }
  close(sockets[1]);
  const int handle = pid < 0 ? -1 : static_cast<int>(syscall(SYS_pidfd_open, pid, 0));
  if (handle >= 0) return std::unique_ptr<Doorman>(new Doorman(pid, handle, sockets[0]));
  close(sockets[0]);  // one that cannot be named ends by itself
  return nullptr;
}

Doorman::~Doorman() {
  close(socket_);
  syscall(SYS_pidfd_send_signal, handle_, SIGKILL, nullptr, 0);
  siginfo_t ended;
  while (waitid(by_handle, static_cast<id_t>(handle_), &ended, WEXITED) < 0 && errno == EINTR) {}
  close(handle_);
}

bool Doorman::lives() const {
  pollfd ended{handle_, POLLIN, 0};
  return poll(&ended, 1, 0) == 0;
}

pid_t Doorman::start(const std::vector<std::string>& argv, int control, int errors) {
  pid_t child = -1;
  if (!send_start(socket_, argv, {control, errors}) || !receive_all(socket_, &child, sizeof child)) return -1;
  return child;
}

}  // namespace tnode
