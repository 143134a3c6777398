// A process that lives in a control group and starts others there: what is born in a group costs nothing, while moving a process into one keeps
// it waiting for ten milliseconds when none was moved for a while (the kernel waits for all its processors to have passed by). What it starts are
// children of the process that employs it, not its own. Whoever employs it must have one thread.
#pragma once
#include <sys/types.h>

#include <functional>
#include <memory>
#include <string>
#include <vector>

namespace tnode {

class Doorman {
 public:
  /// In the doorman, first of all: enters the group, or says that it cannot.
  using Enter = std::function<bool()>;
  /// In a child of its, which has its memory as after vfork, and two descriptors of the caller's: becomes a program, never returns.
  using Become = std::function<void(char* const* argv, int control, int errors)>;

  /// `kept`: descriptors that it needs; it has no others. Null when there is no process to be had.
  static std::unique_ptr<Doorman> employ(const Enter& enter, const Become& become, std::vector<int> kept);
  ~Doorman();
  Doorman(const Doorman&) = delete;
  Doorman& operator=(const Doorman&) = delete;

  pid_t pid() const { return pid_; }
  bool lives() const;
  /// A new child of the calling process; -1 when the doorman could not enter, or is gone.
  pid_t start(const std::vector<std::string>& argv, int control, int errors);

 private:
  Doorman(pid_t pid, int handle, int socket) : pid_(pid), handle_(handle), socket_(socket) {}
  const pid_t pid_;
  const int handle_;  // names the process for good, whoever has its number now
  const int socket_;
};

}  // namespace tnode
