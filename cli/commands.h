// The commands of the program, each a function from what was asked to an exit status.
#pragma once
#include <string>
#include <vector>

#include "cli/credit_terms.h"
#include "cli/farmer_role.h"
#include "cli/options.h"

namespace tnode {

struct SeedOptions {
  std::string task;                     ///< task.yaml or a task's .torrent
  std::string out;                      ///< where outputs go; empty: ./NAME-result
  bool torrent_only = false, dry_run = false, detach = false, again = false, overwrite = false;
  bool passing = false;                 ///< node and home are gone when the answer is read: as a devnet's are
  std::vector<std::string> settings;    ///< --set
};
int run_seed(const GlobalOptions& global, const SeedOptions& options);

struct FarmOptions {
  std::string watch;
  std::int64_t slots = -1;              ///< -1: one per CPU; 0: take part in the swarm without executing
  std::string min_price = "0.1";
  std::string cpu_price = "0";          ///< credits a CPU-second
  CreditWords credit;                   ///< who may owe this node how much
  std::string accept;                   ///< "", "anyone", "watched" or keys, comma separated
  std::string cpus, memory;             ///< of the whole machine for all sandboxes together: "50%", "4GiB"; empty: all of it
  std::string when = "always";          ///< "idle": only while nobody else works at the machine
  std::string runtime_cache = "8GiB";   ///< what runtimes may take; "0" for none
  bool once = false;
  Tamper tamper;                        ///< set by tests that need a liar; no flag reaches it
};
int run_farm(const GlobalOptions& global, const FarmOptions& options);

struct GetOptions { std::string what, out = "."; bool verify = false; std::string timeout = "2m"; };
int run_get(const GlobalOptions& global, const GetOptions& options);

int run_status(const GlobalOptions& global, const std::string& id);
int run_explain(const GlobalOptions& global, const std::string& id);
int run_cancel(const GlobalOptions& global, const std::string& id);
int run_ledger_balance(const GlobalOptions& global);
/// Which blocks `ledger history` shows; empty: no bound. Times are dates, or how long ago.
struct HistoryOptions { std::string task, with, since, until, type; bool csv = false; };
int run_ledger_history(const GlobalOptions& global, const HistoryOptions& options);
struct PayOptions { std::string key, amount, wait = "10s"; };
int run_ledger_pay(const GlobalOptions& global, const PayOptions& options);
int run_ledger_forecast(const GlobalOptions& global, const std::string& window);
int run_ledger_export(const GlobalOptions& global, const std::string& file);
int run_ledger_verify(const GlobalOptions& global, const std::string& file);
int run_ledger_import(const GlobalOptions& global, const std::string& file);
/// Keys that are refused: those with a proof of fraud, and those that accused without one.
int run_ledger_frauds(const GlobalOptions& global);
/// Ends a doubt by decree. `sure`: the user has said that he knows what that may do.
int run_ledger_adopt(const GlobalOptions& global, bool sure);
/// `wait`: how long to look for the key's published head; "0s" looks only at what is here.
int run_ledger_audit(const GlobalOptions& global, const std::string& key, const std::string& wait);
/// Who may owe this node how much, and why: one key, or with an empty text everyone known.
int run_ledger_trust(const GlobalOptions& global, const std::string& key);
/// What this node saw of farmers: one key, or with an empty text all of them.
int run_ledger_reputation(const GlobalOptions& global, const std::string& key);
int run_key_show(const GlobalOptions& global);
/// `passphrase_file`: its first line is the passphrase; empty: asked for at the terminal.
struct KeyFileOptions { std::string file, passphrase_file; };
int run_key_backup(const GlobalOptions& global, const KeyFileOptions& options);
int run_key_restore(const GlobalOptions& global, const KeyFileOptions& options);
int run_pause(const GlobalOptions& global, bool paused);
struct RuntimePackOptions { std::string dir, name, out; };
int run_runtime_pack(const GlobalOptions& global, const RuntimePackOptions& options);
int run_runtime_list(const GlobalOptions& global);
int run_runtime_remove(const GlobalOptions& global, const std::string& id);
int run_doctor(const GlobalOptions& global);
struct DevnetOptions { int farmers = 3; std::string task, out; std::vector<std::string> settings; bool keep = false, overwrite = false; };
int run_devnet(const GlobalOptions& global, const DevnetOptions& options);

/// Prints the error and gives the exit status that belongs to its code.
int fail_with(const Error& error);

}  // namespace tnode
