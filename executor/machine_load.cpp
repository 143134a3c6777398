#include "executor/machine_load.h"

#include <dirent.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cstdlib>
#include <sstream>

#include "executor/kernel_files.h"

namespace tnode {
namespace {

TimeMs last_read_ms(const std::string& path) {
  struct stat status;
  return stat(path.c_str(), &status) == 0 && S_ISCHR(status.st_mode) ? static_cast<TimeMs>(status.st_atim.tv_sec) * 1000 : 0;
}

}  // namespace

MachineLoad::MachineLoad(std::function<std::int64_t()> own_cpu_ms, std::string proc, std::string dev)
    : own_cpu_ms_(std::move(own_cpu_ms)), proc_(std::move(proc)), dev_(std::move(dev)), last_(cpu_time()) {}

OwnerSample MachineLoad::sample(TimeMs now) {
  OwnerSample sample;
  sample.now = now;
  const CpuTime time = cpu_time();
  const std::int64_t all = time.all_ms - last_.all_ms, busy = time.busy_ms - last_.busy_ms, own = time.own_ms - last_.own_ms;
  // The two are counted apart, and not at one moment: what is ours may seem to be more than there was.
  if (all > 0) sample.others_permille = std::clamp<std::int64_t>((busy - own) * 1000 / all, 0, 1000);
  last_ = time;
  sample.pressure_permille = pressure();
  sample.input_age_ms = input_age(now);
  return sample;
}

/// The first line of /proc/stat: user nice system idle iowait irq softirq steal. Idle and stolen time is nobody's here.
MachineLoad::CpuTime MachineLoad::cpu_time() const {
  std::istringstream line(read_kernel_file(proc_ + "/stat"));
  std::string name;
  std::int64_t user = 0, nice = 0, system = 0, idle = 0, waiting = 0, interrupts = 0, soft_interrupts = 0, stolen = 0;
  line >> name >> user >> nice >> system >> idle >> waiting >> interrupts >> soft_interrupts >> stolen;
  const std::int64_t tick_ms = 1000 / sysconf(_SC_CLK_TCK), busy = user + nice + system + interrupts + soft_interrupts;
  return {busy * tick_ms, (busy + idle + waiting + stolen) * tick_ms, own_cpu_ms_()};
}

/// The worst of "some avg10=12.34" in the three files.
std::optional<std::int64_t> MachineLoad::pressure() const {
  std::optional<std::int64_t> worst;
  for (const char* what : {"cpu", "memory", "io"}) {
    const std::string text = read_kernel_file(proc_ + "/pressure/" + what);
    const auto at = text.find("some avg10=");
    if (at == std::string::npos) continue;
    const char* number = text.c_str() + at + std::string("some avg10=").size();
    char* rest = nullptr;
    const long long whole = std::strtoll(number, &rest, 10);
    const long long tenths = *rest == '.' && rest[1] >= '0' && rest[1] <= '9' ? rest[1] - '0' : 0;
    worst = std::max<std::int64_t>(worst.value_or(0), whole * 10 + tenths);
  }
  return worst;
}

/// A terminal's time of access is when something typed was last read from it, as `w` shows it.
std::optional<TimeMs> MachineLoad::input_age(TimeMs now) const {
  TimeMs last = 0;
  for (const char* folder : {"/pts", ""}) {
    DIR* dir = opendir((dev_ + folder).c_str());
    if (!dir) continue;
    while (dirent* entry = readdir(dir)) {
      const std::string name = entry->d_name;
      const std::string_view digits = std::string_view(name).substr(*folder ? 0 : std::min<std::size_t>(3, name.size()));
      const bool terminal = (*folder || name.starts_with("tty")) && !digits.empty() && digits.find_first_not_of("0123456789") == std::string_view::npos;
      if (terminal) last = std::max(last, last_read_ms(dev_ + folder + "/" + name));
    }
    closedir(dir);
  }
  if (last == 0) return std::nullopt;
  return std::max<TimeMs>(0, now - last);
}

}  // namespace tnode
