#include "cli/signals.h"

#include <csignal>
#include <pthread.h>

namespace tnode {
namespace {

constexpr int end_of_thread = SIGUSR2;

sigset_t watched() {
  sigset_t set;
  sigemptyset(&set);
  for (int number : {SIGINT, SIGTERM, end_of_thread}) sigaddset(&set, number);
  return set;
}

}  // namespace

Signals::Signals() {
  sigset_t set = watched();
  pthread_sigmask(SIG_BLOCK, &set, nullptr);
  std::signal(SIGPIPE, SIG_IGN);
}

void Signals::stop() {
  if (!thread_.joinable()) return;
  pthread_kill(thread_.native_handle(), end_of_thread);
  thread_.join();
}

void Signals::on_signal(std::function<void(int)> action) {
  thread_ = std::thread([action = std::move(action)] {
    sigset_t set = watched();
    for (int number = 0; sigwait(&set, &number) == 0 && number != end_of_thread;) action(number);
  });
}

}  // namespace tnode
