// An executor of its own for a test, and one call that runs a unit to its end.
#pragma once
#include <chrono>
#include <condition_variable>
#include <map>
#include <mutex>

#include "executor/executor.h"
#include "tests/temp_dir.h"

namespace tnode {

class SandboxFixture {
 public:
  SandboxFixture() {
    auto started = Executor::start(dir.path + "/home");
    if (!started) FAIL("no sandbox on this machine: " << started.error().message);
    executor = std::move(*started);
    executor->on_report([this](ExecutionReport report) {
      std::lock_guard lock(mutex_);
      reports_[report.job] = std::move(report);
      changed_.notify_all();
    });
  }
  ~SandboxFixture() { executor.reset(); }

  ExecutionRequest request(std::vector<std::string> argv) {
    ExecutionRequest r;
    r.job = ++jobs_;
    r.task_dir = task_dir();
    r.task_hex = "abcd";
    r.invocations.push_back({0, std::move(argv), environment(0)});
    r.outputs = {"out/**"};
    r.limits.wall_ms = 10'000;
    r.limits.memory_bytes = 128 << 20;
    r.limits.disk_bytes = 16 << 20;
    r.limits.processes = 64;
    r.result_dir = dir.path + "/result-" + std::to_string(r.job);
    return r;
  }
  static std::map<std::string, std::string> environment(std::int64_t index) {
    return {{"PATH", "/usr/local/bin:/usr/bin:/bin"}, {"HOME", "/tmp"}, {"TZ", "UTC"}, {"LANG", "C.UTF-8"}, {"TNODE_INDEX", std::to_string(index)}};
  }
  ExecutionReport wait(std::uint64_t job) {
    std::unique_lock lock(mutex_);
    REQUIRE(changed_.wait_for(lock, std::chrono::seconds(60), [&] { return reports_.count(job) != 0; }));
    return reports_.at(job);
  }
  ExecutionReport run(const ExecutionRequest& r) {
    executor->run(r);
    return wait(r.job);
  }
  ExecutionReport shell(const std::string& script) { return run(request({"sh", "-c", script})); }
  std::string task_dir() const { return dir.path + "/home/tasks/t"; }
  std::string result(const ExecutionReport& report, const std::string& path) const { return content_of(dir.path + "/result-" + std::to_string(report.job) + "/" + path); }

  TempDir dir;
  std::unique_ptr<Executor> executor;

 private:
  std::uint64_t jobs_ = 0;
  std::mutex mutex_;
  std::condition_variable changed_;
  std::map<std::uint64_t, ExecutionReport> reports_;
};

}  // namespace tnode
