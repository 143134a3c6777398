// `tnode doctor`: is this machine fit to take part? Each line ok, weaker or missing, with what mends it.
#include <sys/timex.h>
#include <unistd.h>

#include <chrono>
#include <cstdio>
#include <filesystem>
#include <thread>

#include "cli/bundle_disk.h"
#include "cli/commands.h"
#include "cli/home.h"
#include "cli/node.h"
#include "cli/output.h"
#include "cli/restored.h"
#include "cli/task_record.h"
#include "cli/quantities.h"
#include "executor/executor.h"

namespace tnode {
namespace {

using Check = SandboxState::Check;

constexpr std::int64_t wanted_disk = 1LL << 30;
constexpr int dht_wait_tries = 50;  // of 100 ms

Check disk_check(const Home& home) {
  const auto free = home.free_bytes();
  if (!free) return {"disk", Check::missing, free.error().message, "choose another --home"};
  const std::string probe = home.dir() + "/.doctor-" + std::to_string(getpid());
  if (auto written = write_file_atomically(probe, std::string(4096, 'x')); !written)
    return {"disk", Check::missing, written.error().message, "make room below " + home.dir() + " and see that it can be written, or choose another --home"};
  std::error_code ignored;
  std::filesystem::remove(probe, ignored);
  if (*free < wanted_disk) return {"disk", Check::weaker, format_size(*free) + " free below " + home.dir(), "make room, or choose another --home"};
  return {"disk", Check::good, format_size(*free) + " free below " + home.dir(), ""};
}

Check clock_check() {
  timex state{};
  const int kind = adjtimex(&state);
  if (kind == TIME_ERROR || (state.status & STA_UNSYNC)) return {"clock", Check::weaker, "the kernel does not know that the clock is synchronised", "sudo timedatectl set-ntp true"};
  return {"clock", Check::good, "synchronised", ""};
}

Check store_check(const Home& home) {
  auto mark = read_restored_mark(home);
  if (!mark) return {"ledger", Check::missing, mark.error().message, "move it away only if you know that every block this key has signed is here"};
  if (*mark)
    return {"ledger", Check::weaker, "in doubt: " + (*mark)->why + "; nothing is signed before it is known that its chain is whole",
            home.command("farm") + " finds out and fetches what is missing; " + home.command("ledger import FILE") + " takes it from an export"};
  if (!std::filesystem::exists(home.store_path())) {
    const bool used = std::filesystem::exists(home.key_path()) && !std::filesystem::exists(home.unused_key_path());
    if (!used) return {"ledger", Check::good, "none yet", ""};
    return {"ledger", Check::weaker, "gone, though this home's key is not new: nothing is signed before its chain is here again", home.command("farm") + " fetches it from the swarm; " + home.command("ledger import FILE") + " takes it from an export"};
  }
  auto store = open_store_for_reading(home);
  // An older copy in its place would sign blocks a second time, which others can prove to be fraud.
  if (!store && store.error().code != Code::io) return {"ledger", Check::missing, store.error().message, "keep " + home.store_path() + " as it is and ask for help; never put an older copy in its place"};
  if (!store) return {"ledger", Check::missing, store.error().message, "see that the disk has room and can be written and read; " + home.store_path() + " itself may be whole"};
  return {"ledger", Check::good, std::to_string((*store)->balance().blocks) + " blocks, all adding up", ""};
}

/// Listens and, where there is somebody to ask, waits for the DHT to answer.
std::vector<Check> network_checks(const GlobalOptions& global, const Home& home) {
  auto options = swarm_options(global);
  if (!options) return {{"network", Check::missing, options.error().message, "correct the option"}};
  options->data_dir = home.dir();
  options->key_seed.fill(1);
  options->join_board = false;
  auto swarm = Swarm::start(*options, [](SwarmEvent) {});
  if (!swarm) return {{"port", Check::missing, swarm.error().message, "choose another --listen, or stop what uses the port"}};
  std::vector<Check> checks{{"port", Check::good, "listens on " + (*swarm)->listen_endpoint(), ""}};
  const bool loopback = global.listen.starts_with("127.");
  if (loopback && options->bootstrap.empty()) {
    checks.push_back({"dht", Check::good, "private, and this node would be its first; others start with --bootstrap " + (*swarm)->listen_endpoint(), ""});
    return checks;
  }
  for (int tries = 0; tries < dht_wait_tries && !(*swarm)->dht_answers(); ++tries) std::this_thread::sleep_for(std::chrono::milliseconds(100));
  if ((*swarm)->dht_answers()) checks.push_back({"dht", Check::good, "answers", ""});
  else checks.push_back({"dht", Check::weaker, "nobody answered within 5 s", "allow outgoing UDP, or name a node with --bootstrap HOST:PORT or --peer HOST:PORT"});
  return checks;
}

}  // namespace

int run_doctor(const GlobalOptions& global) {
  auto home = Home::find(global.home);
  if (!home) return fail_with(home.error());
  if (auto made = home->make(); !made) return fail_with(made.error());
  // The sandbox first: it forks, which must come before the network's threads.
  std::vector<Check> checks = examine_sandbox(home->dir()).checks;
  for (auto& check : network_checks(global, *home)) checks.push_back(std::move(check));
  checks.push_back(clock_check());
  checks.push_back(disk_check(*home));
  checks.push_back(store_check(*home));
  std::string text;
  Json list = Json::array();
  bool missing = false, no_sandbox = false;
  const char* const words[] = {"ok", "weaker", "missing"};
  for (const auto& check : checks) {
    char line[64];
    std::snprintf(line, sizeof line, "%-8s %-12s ", words[check.level], check.what.c_str());
    text += line + check.detail + "\n";
    if (!check.remedy.empty()) text += "                       mend: " + check.remedy + "\n";
    list.push_back({{"what", check.what}, {"level", words[check.level]}, {"detail", check.detail}, {"remedy", check.remedy}});
    missing = missing || check.level == Check::missing;
    no_sandbox = no_sandbox || (check.level == Check::missing && (check.what == "bubblewrap" || check.what == "namespaces" || check.what == "sandbox"));
  }
  Output(global).answer(Json{{"checks", list}, {"good", !missing}}, text, missing ? "missing" : "ok");
  return no_sandbox ? exit_no_sandbox : missing ? exit_error : exit_done;
}

}  // namespace tnode
