#include "cli/arguments.h"

#include "cli/quantities.h"
#include "core/bundle_paths.h"

namespace tnode {

std::optional<std::size_t> command_at(const std::vector<std::string>& arguments, const CLI::App& app) {
  for (std::size_t i = 0; i < arguments.size(); ++i) {
    const std::string& word = arguments[i];
    if (!word.starts_with("-")) return i;
    const auto* option = word.find('=') == std::string::npos ? app.get_option_no_throw(word) : nullptr;
    if (option && option->get_items_expected_min() > 0) ++i;
  }
  return std::nullopt;
}

const CLI::App* command_named(const CLI::App& app, const std::string& name) {
  for (const auto* each : app.get_subcommands(nullptr))
    if (each->get_name() == name) return each;
  return nullptr;
}

KnownOptions known_options(const CLI::App& app) {
  KnownOptions known;
  auto take = [](const CLI::App& from, std::vector<std::string>& into) {
    for (const auto* option : from.get_options())
      for (const auto& name : option->get_lnames())
        if (name != "help" && name != "version") into.push_back(name);
  };
  take(app, known.global);
  for (const auto* command : app.get_subcommands(nullptr)) take(*command, known.of_command[command->get_name()]);
  return known;
}

std::string no_such_command(const std::string& word, const CLI::App& app) {
  std::vector<std::string> known;
  for (const auto* each : app.get_subcommands(nullptr)) known.push_back(each->get_name());
  const std::string near = nearest_word(word, known);
  return "there is no command " + quoted_name(word) + (near.empty() ? "; `tnode --help` lists them" : "; did you mean '" + near + "'?");
}

std::string usage_problem(const CLI::App& app, const std::string& command, const CLI::ParseError& error, const std::string& config) {
  const auto* chosen = command_named(app, command);
  const std::string called = "tnode" + (chosen ? " " + command : "");
  std::string what = error.what();
  const std::string required = " is required";
  if (chosen && error.get_name() == "RequiredError" && what.ends_with(required)) {
    const std::string missing = what.substr(0, what.size() - required.size());
    const auto* option = chosen->get_option_no_throw(missing);
    if (missing == "A subcommand") what = "one of its commands is missing";
    else what = (option ? option->get_type_name() + " is missing: " + option->get_description() : missing + " is missing");
  }
  for (char& c : what)
    if (c == '\n') c = ' ';
  return called + ": " + what + (config.empty() ? "" : " (set in " + config + ")") + "; `" + called + " --help` says more";
}

}  // namespace tnode
