// One sandbox that runs one unit: bubblewrap started, indices sent in, outputs taken out, the end classified. Lives in the runner's thread.
#pragma once
#include <sys/types.h>

#include <memory>
#include <optional>
#include <string>

#include "executor/cgroups.h"
#include "executor/output_writer.h"
#include "executor/plan.h"

namespace tnode {

/// What all sandboxes of a runner share.
struct SandboxHost {
  std::string bwrap;                       ///< path of bubblewrap
  std::string init_path;                   ///< the first process's program, where the sandbox's user can read it
  RootLayout layout;
  std::vector<std::string> hidden;         ///< files of /proc that are covered up
  int seccomp = -1, passwd = -1, group = -1;
  std::optional<std::pair<uid_t, gid_t>> drop_to;  ///< set when the runner is root
  std::string home, home_view;             ///< the home folder, and where the sandbox's user sees it
  pid_t runner = -1;                       ///< whose death ends every sandbox
  CgroupPool cgroups;
  /// A path below the home as the sandbox's user reaches it.
  std::string view(const std::string& path) const;
};

class Sandbox {
 public:
  Sandbox(SandboxHost& host, ExecutionRequest request);
  ~Sandbox();

  int control_fd() const { return control_; }
  int error_fd() const { return errors_; }
  pid_t pid() const { return pid_; }
  std::uint64_t job() const { return request_.job; }

  void on_control();
  void on_errors();
  /// Limits that are watched from outside; called at least every tick_ms while it runs.
  void tick(TimeMs now);
  void cancel() { problem("cancelled"); }
  /// There is a report; the processes may still be going.
  bool done() const { return done_; }
  const ExecutionReport& report() const { return report_; }
  void on_exit() { pid_ = -1; }
  bool reported = false;  ///< the runner's mark

  static constexpr int tick_ms = 50;

 private:
  Result<SandboxPlan> plan() const;
  Result<void> start();
  [[noreturn]] void become_bubblewrap(std::vector<std::string>& arguments, int control, int errors);
  void send_next();
  void send_all(std::string_view bytes);
  /// Has init end the index that runs; its report follows.
  void stop_index(TimeMs now);
  void take_frames();
  bool take_frame(std::uint32_t type, std::string_view payload);
  bool take_data(std::string_view part);
  bool on_file(std::string_view payload);
  bool on_end(std::string_view payload);
  void refuse(const Error& error);
  void on_closed();
  std::string memory_detail(std::int64_t peak) const;
  void end(OutcomeKind kind, int exit_code, std::string detail);
  void problem(std::string what);
  void finish();
  void stop();

  SandboxHost& host_;
  ExecutionRequest request_;
  OutputWriter outputs_;
  std::unique_ptr<Cgroup> cgroup_;
  pid_t pid_ = -1;
  int control_ = -1, errors_ = -1;
  Bytes received_;
  std::uint32_t data_left_ = 0;
  std::size_t next_ = 0;
  /// What init may say next: hello, how the index ended, what it wrote.
  enum class Turn { hello, end, outputs } turn_ = Turn::hello;
  bool done_ = false, stopping_ = false;
  TimeMs deadline_ = 0, next_look_ = 0;
  // Many indices take less than a millisecond each: their sum is kept finer than the report's.
  std::int64_t wall_us_ = 0, cpu_us_ = 0;
  std::string error_text_;
  ExecutionReport report_;
};

TimeMs monotonic_ms();

}  // namespace tnode
