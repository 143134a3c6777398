// What a user asked for, whatever the command: the flags that all share, merged with config.yaml.
#pragma once
#include <map>
#include <string>
#include <vector>

#include "core/types.h"
#include "swarm/swarm.h"

namespace tnode {

enum class OutputFormat { table, json, jsonl, id };

struct GlobalOptions {
  std::string home;
  std::string listen;
  std::vector<std::string> bootstrap, peers;
  OutputFormat output = OutputFormat::table;
  bool verbose = false;
};

/// Process exit statuses; scripts rely on them.
enum ExitStatus : int {
  exit_done = 0, exit_error = 1, exit_usage = 2, exit_task_failed = 3, exit_no_quorum = 4, exit_timeout = 5, exit_no_bids = 6, exit_no_sandbox = 7, exit_no_credit = 8
};

/// Swarm options from what was given; names are resolved, so that the loopback profile sees literal addresses. `invalid` for a malformed address.
Result<SwarmOptions> swarm_options(const GlobalOptions& options);
/// What a user hears whose --peer does not answer.
std::string warning_of(const PeerUnreachable& event);

/// The long names of the program's options, without dashes.
struct KnownOptions { std::vector<std::string> global; std::map<std::string, std::vector<std::string>> of_command; };
/// Arguments that config.yaml stands for: global ones, and those of `command`. `invalid` with file and line for a key that is no option.
struct ConfigArguments { std::vector<std::string> global, command; };
Result<ConfigArguments> config_arguments(const std::string& path, const std::string& command, const KnownOptions& known);

}  // namespace tnode
