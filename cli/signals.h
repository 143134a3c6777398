// SIGINT and SIGTERM as an ordinary call, from a thread of their own. Made before any other thread, so that all inherit the block.
#pragma once
#include <functional>
#include <thread>

namespace tnode {

class Signals {
 public:
  /// Blocks both signals in the calling thread and all threads it starts later.
  Signals();
  ~Signals() { stop(); }
  /// From now on `action` runs at each signal, in the signal thread.
  void on_signal(std::function<void(int)> action);
  /// No action runs any more: to be called before what it uses goes. Both signals stay blocked, for the process is leaving.
  void stop();

 private:
  std::thread thread_;
};

}  // namespace tnode
