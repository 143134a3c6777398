// The program: its options and commands, and nothing else.
#include <CLI/CLI.hpp>

#include <sys/stat.h>

#include <algorithm>
#include <cstdio>

#include "cli/arguments.h"
#include "cli/commands.h"
#include "cli/home.h"

namespace {

using namespace tnode;

constexpr const char* version = "0.1.0";

std::string home_in(const std::vector<std::string>& arguments) {
  for (std::size_t i = 0; i < arguments.size(); ++i) {
    if (arguments[i] == "--home" && i + 1 < arguments.size()) return arguments[i + 1];
    if (arguments[i].starts_with("--home=")) return arguments[i].substr(7);
  }
  return {};
}

int run(int argc, char** argv) {
  CLI::App app{"tnode turns BitTorrent into a computer: offer tasks, execute others', verify by agreement."};
  app.name("tnode");
  app.set_version_flag("--version", version);
  app.require_subcommand(1);
  app.fallthrough();

  GlobalOptions global;
  app.add_option("--home", global.home, "Folder of this node's key, store and torrents (also TNODE_HOME)")->type_name("DIR")->take_last();
  app.add_option("--listen", global.listen, "Address to listen on; a loopback address makes a private net")->type_name("IP:PORT")->take_last();
  app.add_option("--bootstrap", global.bootstrap, "A DHT node to start from")->type_name("HOST:PORT")->expected(1)->multi_option_policy(CLI::MultiOptionPolicy::TakeAll);
  app.add_option("--peer", global.peers, "A node to dial at once")->type_name("HOST:PORT")->expected(1)->multi_option_policy(CLI::MultiOptionPolicy::TakeAll);
  const std::map<std::string, OutputFormat> formats{{"table", OutputFormat::table}, {"json", OutputFormat::json}, {"jsonl", OutputFormat::jsonl}, {"id", OutputFormat::id}};
  app.add_option_function<std::string>("-o,--output", [&](const std::string& word) { global.output = formats.at(word); }, "table, json, jsonl or id")
      ->check(CLI::IsMember(formats).description(""))->option_text("FORMAT")->take_last();
  app.add_flag("-v,--verbose", global.verbose, "Say more");

  int status = exit_done;

  SeedOptions seed;
  auto* seed_command = app.add_subcommand("seed", "Offer a task, get the verified result");
  seed_command->add_option("task", seed.task, "task.yaml, or a task's .torrent")->required()->type_name("TASK");
  seed_command->add_option("--out", seed.out, "Folder for the outputs (default: NAME-result)")->type_name("DIR")->take_last();
  seed_command->add_flag("--torrent-only", seed.torrent_only, "Write NAME.torrent and stop");
  seed_command->add_flag("--dry-run", seed.dry_run, "Check the task and say what it may cost; write nothing");
  seed_command->add_flag("--detach", seed.detach, "Go on in the background");
  seed_command->add_flag("--again", seed.again, "Compute it anew though it was done before");
  seed_command->add_flag("--overwrite", seed.overwrite, "Put the outputs into a folder that holds other files");
  seed_command->add_flag("--passing", seed.passing)->group("");  // devnet's requester: its links and its home do not outlive it
  seed_command->add_option("--set", seed.settings, "Set a key of task.yaml, e.g. quorum.agree=1")->type_name("KEY=VALUE")->expected(1)->multi_option_policy(CLI::MultiOptionPolicy::TakeAll);
  seed_command->callback([&] { status = run_seed(global, seed); });

  FarmOptions farm;
  auto* farm_command = app.add_subcommand("farm", "Execute what others offer, and earn");
  farm_command->add_option("--watch", farm.watch, "Folder for .torrent, .magnet and task.yaml files")->type_name("DIR")->take_last();
  farm_command->add_option("--slots", farm.slots, "Units run side by side (default: one per CPU; 0: only take part in the swarm)")->check(CLI::Range(0, 1024))->take_last();
  farm_command->add_option("--min-price", farm.min_price, "Credits asked for a unit, at least")->type_name("CREDITS")->capture_default_str()->take_last();
  farm_command->add_option("--cpu-price", farm.cpu_price, "Credits asked for a CPU-second of a unit's estimated work; 0: --min-price alone")->type_name("CREDITS")->capture_default_str()->take_last();
  farm_command->add_option("--accept", farm.accept, "Whose tasks: anyone, watched, or node keys with commas between (default: anyone where the sandbox is whole, else watched)")
      ->type_name("WHO")->check([](const std::string& who) { return who.empty() ? "wants anyone, watched, or node keys" : ""; }, "")->take_last();
  farm_command->add_option("--cpus", farm.cpus, "CPU time for all sandboxes together: a share of the machine (50%) or CPUs (1.5)")->type_name("SHARE")->take_last();
  farm_command->add_option("--memory", farm.memory, "Memory for all sandboxes together, their files counted (4GiB)")->type_name("SIZE")->take_last();
  farm_command->add_option("--when", farm.when, "always, or idle: only while nobody else works at the machine")
      ->check(CLI::IsMember({"always", "idle"}).description(""))->option_text("WHEN")->take_last();
  farm_command->add_option("--runtime-cache", farm.runtime_cache, "What runtimes of tasks may take on disk; 0: only tasks with `runtime: host`")->type_name("SIZE")->capture_default_str()->take_last();
  farm_command->add_option("--line", farm.credit.line, "How far below zero the chain of a key without a line of its own may stand")->type_name("CREDITS")->capture_default_str()->take_last();
  farm_command->add_option("--stranger-cap", farm.credit.stranger_cap, "What all keys that have no line here may owe together, beyond what was earned")->type_name("CREDITS")->capture_default_str()->take_last();
  farm_command->add_option("--audit-above", farm.credit.audit_above, "Above so much promised to a key at once, its published chain is verified first")->type_name("CREDITS")->capture_default_str()->take_last();
  farm_command->add_option("--line-of", farm.credit.lines, "What one key may owe by itself; it is no stranger then")->type_name("KEY=CREDITS")->expected(1)->multi_option_policy(CLI::MultiOptionPolicy::TakeAll);
  farm_command->add_flag("--once", farm.once, "Leave when nothing is left to do");
  farm_command->callback([&] { status = run_farm(global, farm); });

  GetOptions get;
  auto* get_command = app.add_subcommand("get", "Download a task or a result from its swarm");
  get_command->add_option("what", get.what, "Magnet link, .torrent file, or id")->required()->type_name("MAGNET|FILE|ID");
  get_command->add_option("--out", get.out, "Folder to put it in")->type_name("DIR")->capture_default_str()->take_last();
  get_command->add_option("--timeout", get.timeout, "Give up after so long without a new byte")->type_name("DURATION")->capture_default_str()->take_last();
  get_command->add_flag("--verify", get.verify, "Check the certificate of a result: who agreed on it");
  get_command->callback([&] { status = run_get(global, get); });

  std::string id;
  auto* status_command = app.add_subcommand("status", "What runs, units by state");
  status_command->add_option("id", id, "A task's id, or 'last'")->type_name("ID");
  status_command->callback([&] { status = run_status(global, id); });
  auto* explain_command = app.add_subcommand("explain", "Why a task is not moving, farmer by farmer");
  explain_command->add_option("id", id, "A task's id, or 'last'")->required()->type_name("ID");
  explain_command->callback([&] { status = run_explain(global, id); });
  auto* cancel_command = app.add_subcommand("cancel", "Stop a task and release what was held for it");
  cancel_command->add_option("id", id, "A task's id, or 'last'")->required()->type_name("ID");
  cancel_command->callback([&] { status = run_cancel(global, id); });

  auto* ledger_command = app.add_subcommand("ledger", "Credits");
  ledger_command->require_subcommand(1);
  ledger_command->fallthrough();
  ledger_command->add_subcommand("balance", "This node's balance")->fallthrough()->callback([&] { status = run_ledger_balance(global); });
  HistoryOptions history;
  auto* history_command = ledger_command->add_subcommand("history", "This node's blocks");
  history_command->fallthrough();
  history_command->add_option("--task", history.task, "Only those of one task: its id, a prefix of it, or 'last'")->type_name("ID")->take_last();
  history_command->add_option("--with", history.with, "Only dealings with one node: its key or a prefix of it")->type_name("KEY")->take_last();
  history_command->add_option("--type", history.type, "Only genesis, hold, release, debit, credit or checkpoint")->type_name("TYPE")->take_last();
  history_command->add_option("--since", history.since, "Not before: 2026-11-21, \"2026-11-21 08:00\", or how long ago: 2h, 30d")->type_name("TIME")->take_last();
  history_command->add_option("--until", history.until, "Before: in the same forms")->type_name("TIME")->take_last();
  history_command->add_flag("--csv", history.csv, "Comma-separated values, amounts in micro-credits");
  history_command->callback([&] { status = run_ledger_history(global, history); });
  PayOptions pay;
  auto* pay_command = ledger_command->add_subcommand("pay", "Pay a node outside of a task");
  pay_command->fallthrough();
  pay_command->add_option("key", pay.key, "The payee's key")->required()->type_name("KEY");
  pay_command->add_option("amount", pay.amount, "Credits")->required()->type_name("AMOUNT");
  pay_command->add_option("--wait", pay.wait, "How long to wait for the receipt")->type_name("DURATION")->capture_default_str()->take_last();
  pay_command->callback([&] { status = run_ledger_pay(global, pay); });
  std::string window = "7d";
  auto* forecast_command = ledger_command->add_subcommand("forecast", "Where the balance is heading");
  forecast_command->fallthrough();
  forecast_command->add_option("--window", window, "How far back to look")->type_name("DURATION")->capture_default_str()->take_last();
  forecast_command->callback([&] { status = run_ledger_forecast(global, window); });
  std::string blocks_file;
  auto with_file = [&](const char* name, const char* what, int (*run_it)(const GlobalOptions&, const std::string&)) {
    auto* command = ledger_command->add_subcommand(name, what);
    command->fallthrough();
    command->add_option("file", blocks_file, "A file of blocks")->required()->type_name("FILE");
    command->callback([&, run_it] { status = run_it(global, blocks_file); });
  };
  with_file("export", "Write this node's chain and its receipts to a file", run_ledger_export);
  with_file("verify", "Check a chain that somebody exported", run_ledger_verify);
  with_file("import", "Check another node's exported chain and keep its blocks as evidence", run_ledger_import);
  ledger_command->add_subcommand("frauds", "Keys that are refused, and the proofs")->fallthrough()->callback([&] { status = run_ledger_frauds(global); });
  bool sure = false;
  auto* adopt_command = ledger_command->add_subcommand("adopt", "Let a restored node sign though nobody knows whether its chain is whole. Dangerous");
  adopt_command->fallthrough();
  adopt_command->add_flag("--even-if-this-ruins-my-key", sure, "If this key has signed anything that is not here, it is refused by everyone for ever");
  adopt_command->callback([&] { status = run_ledger_adopt(global, sure); });
  std::string trusted;
  auto* trust_command = ledger_command->add_subcommand("trust", "Who may owe this node how much, and why");
  trust_command->fallthrough();
  trust_command->add_option("key", trusted, "A node's key (default: everyone known)")->type_name("KEY");
  trust_command->callback([&] { status = run_ledger_trust(global, trusted); });
  std::string reputed;
  auto* reputation_command = ledger_command->add_subcommand("reputation", "What this node saw of farmers, and what follows from it");
  reputation_command->fallthrough();
  reputation_command->add_option("key", reputed, "A node's key (default: all)")->type_name("KEY");
  reputation_command->callback([&] { status = run_ledger_reputation(global, reputed); });
  std::string audited, audit_wait = "20s";
  auto* audit_command = ledger_command->add_subcommand("audit", "Check this node's chain, or what is known of another key");
  audit_command->fallthrough();
  audit_command->add_option("key", audited, "A node's key")->type_name("KEY");
  audit_command->add_option("--wait", audit_wait, "How long to look for the key's published head; 0s: only what is here")->type_name("DURATION")->capture_default_str()->take_last();
  audit_command->callback([&] { status = run_ledger_audit(global, audited, audit_wait); });

  DevnetOptions devnet;
  auto* devnet_command = app.add_subcommand("devnet", "Everything at once on this machine: a private DHT, farmers, a requester, the result");
  devnet_command->add_option("farmers", devnet.farmers, "How many farmers, 1 to 64")
      ->required()->type_name("N")->check([](const std::string& number) {
        const bool digits = !number.empty() && number.size() < 3 && number.find_first_not_of("0123456789") == std::string::npos;
        return digits && std::stoi(number) >= 1 && std::stoi(number) <= 64 ? std::string() : "how many, 1 to 64, and then the task: `tnode devnet 3 task.yaml`; not '" + number + "'";
      }, "");
  devnet_command->add_option("task", devnet.task, "task.yaml")->required()->type_name("TASK.yaml");
  devnet_command->add_option("--out", devnet.out, "Folder for the outputs")->type_name("DIR")->take_last();
  devnet_command->add_option("--set", devnet.settings, "Set a key of task.yaml")->type_name("KEY=VALUE")->expected(1)->multi_option_policy(CLI::MultiOptionPolicy::TakeAll);
  devnet_command->add_flag("--overwrite", devnet.overwrite, "Put the outputs into a folder that holds other files");
  devnet_command->add_flag("--keep", devnet.keep, "Keep the nodes' homes");
  devnet_command->callback([&] { status = run_devnet(global, devnet); });

  app.add_subcommand("pause", "Have the farmer of this home stand still: what runs is frozen")->callback([&] { status = run_pause(global, true); });
  app.add_subcommand("resume", "Let it go on")->callback([&] { status = run_pause(global, false); });
  auto* runtime_command = app.add_subcommand("runtime", "Root file systems that tasks bring along");
  runtime_command->require_subcommand(1);
  runtime_command->fallthrough();
  RuntimePackOptions runtime;
  auto* pack_command = runtime_command->add_subcommand("pack", "Make one of a root file system's folder");
  pack_command->fallthrough();
  pack_command->add_option("dir", runtime.dir, "The folder, as debootstrap makes it")->required()->type_name("DIR");
  pack_command->add_option("--name", runtime.name, "For people (default: the folder's name)")->type_name("NAME")->take_last();
  pack_command->add_option("--out", runtime.out, "Where to write its torrent (default: NAME.torrent)")->type_name("FILE")->take_last();
  pack_command->callback([&] { status = run_runtime_pack(global, runtime); });
  runtime_command->add_subcommand("list", "Those in this home")->fallthrough()->callback([&] { status = run_runtime_list(global); });
  std::string removed;
  auto* remove_command = runtime_command->add_subcommand("remove", "Take one out of this home");
  remove_command->fallthrough();
  remove_command->add_option("id", removed, "Its id, or a prefix")->required()->type_name("ID");
  remove_command->callback([&] { status = run_runtime_remove(global, removed); });

  app.add_subcommand("doctor", "Check sandbox, limits, ports, DHT, clock and disk")->callback([&] { status = run_doctor(global); });
  auto* key_command = app.add_subcommand("key", "This node's key");
  key_command->require_subcommand(1);
  key_command->fallthrough();
  key_command->add_subcommand("show", "Print it")->fallthrough()->callback([&] { status = run_key_show(global); });
  KeyFileOptions key_file;
  auto with_backup = [&](const char* name, const char* what, int (*run_it)(const GlobalOptions&, const KeyFileOptions&)) {
    auto* command = key_command->add_subcommand(name, what);
    command->fallthrough();
    command->add_option("file", key_file.file, "The backup")->required()->type_name("FILE");
    command->add_option("--passphrase-file", key_file.passphrase_file, "A file whose first line is the passphrase (default: asked for at the terminal)")->type_name("FILE")->take_last();
    command->callback([&, run_it] { status = run_it(global, key_file); });
  };
  with_backup("backup", "Write it to a new file, encrypted with a passphrase", run_key_backup);
  with_backup("restore", "Take it out of a backup", run_key_restore);

  app.add_subcommand("help", "Print this, or a command's options");
  for (auto* each : app.get_subcommands(nullptr)) each->footer("Options of every command (--home, --listen, --bootstrap, --peer, -o, -v): see `tnode --help`");

  std::vector<std::string> arguments(argv + 1, argv + argc);
  auto at = command_at(arguments, app);
  if (at && arguments[*at] == "help") {
    arguments.erase(arguments.begin() + static_cast<std::ptrdiff_t>(*at));
    arguments.push_back("--help");
    at = command_at(arguments, app);
  }
  const std::string command = at ? arguments[*at] : "";
  if (at && !command_named(app, command)) {
    std::fprintf(stderr, "tnode: %s\n", no_such_command(command, app).c_str());
    return exit_usage;
  }
  std::string config_path;
  ConfigArguments config;
  if (auto home = Home::find(home_in(arguments)); home && at) {
    config_path = home->config_path();
    auto read = config_arguments(config_path, command, known_options(app));
    if (!read) {
      std::fprintf(stderr, "tnode: %s\n", read.error().message.c_str());
      return exit_usage;
    }
    config = std::move(*read);
  }
  // What is said on the command line comes later, and so wins.
  std::vector<std::string> all = config.global;
  all.insert(all.end(), arguments.begin(), arguments.end());
  if (at) all.insert(all.begin() + static_cast<std::ptrdiff_t>(config.global.size() + *at + 1), config.command.begin(), config.command.end());
  std::reverse(all.begin(), all.end());  // CLI11 takes them from the end
  try {
    app.parse(all);
  } catch (const CLI::Success& asked) {
    return app.exit(asked);
  } catch (const CLI::ParseError& error) {
    if (!at && error.get_name() == "RequiredError") {
      std::fprintf(stderr, "%s", app.help().c_str());
      return exit_usage;
    }
    const std::string what = error.what();
    auto named_in = [&](const std::vector<std::string>& words) {
      return std::any_of(words.begin(), words.end(), [&](const std::string& word) { return word.starts_with("--") && what.find(word) != std::string::npos; });
    };
    const bool configured = !named_in(arguments) && (named_in(config.global) || named_in(config.command));
    std::fprintf(stderr, "%s\n", usage_problem(app, command, error, configured ? config_path : "").c_str());
    return exit_usage;
  }
  return status;
}

}  // namespace

int main(int argc, char** argv) {
  // Files of tasks and results are read by other users of this machine: the sandbox's among them.
  umask(022);
  return run(argc, argv);
}
