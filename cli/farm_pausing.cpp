#include "cli/farm_pausing.h"

#include <sys/resource.h>

#include "cli/farmer_role.h"
#include "cli/node.h"

namespace tnode {
namespace {

std::int64_t ms_of(const timeval& time) { return static_cast<std::int64_t>(time.tv_sec) * 1000 + time.tv_usec / 1000; }

/// What this process used by itself: hashing, seeding.
std::int64_t own_cpu_ms() {
  rusage usage{};
  getrusage(RUSAGE_SELF, &usage);
  return ms_of(usage.ru_utime) + ms_of(usage.ru_stime);
}

}  // namespace

FarmPausing::FarmPausing(Node& node, bool when_idle) : node_(node) {
  if (!when_idle) return;
  load_ = std::make_unique<MachineLoad>([&node] { return own_cpu_ms() + (node.executor() ? node.executor()->cpu_ms() : 0); });
  look();
}

void FarmPausing::by_user(bool paused) {
  paused_by_user_ = paused;
  tell();
}

void FarmPausing::look() {
  owner_ = watch_.step(load_->sample(wall_clock_ms()));
  tell();
  node_.later(owner_sample_ms, [this] { look(); });
}

void FarmPausing::tell() {
  const std::string why = paused_by_user_ ? "until `tnode resume`" : owner_.value_or("");
  if (why == told_) return;
  if (why.empty()) node_.farmer()->hear(ResumeWork{});
  // Numbers that change every second are no news.
  else if (told_.empty() || paused_by_user_) node_.farmer()->hear(PauseWork{why});
  told_ = why;
}

}  // namespace tnode
