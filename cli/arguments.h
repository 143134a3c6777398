// The command line around its options: which word is the command, what config.yaml may set, and what is said to who mistyped.
#pragma once
#include <CLI/CLI.hpp>

#include <cstddef>
#include <optional>
#include <string>
#include <vector>

#include "cli/options.h"

namespace tnode {

/// Where the first word stands that is neither an option nor an option's value; nothing when there is none.
std::optional<std::size_t> command_at(const std::vector<std::string>& arguments, const CLI::App& app);
/// The command of that name, if there is one.
const CLI::App* command_named(const CLI::App& app, const std::string& name);
/// The long names of all options, by command.
KnownOptions known_options(const CLI::App& app);
/// What is wrong with a first word that is no command, with the nearest that is.
std::string no_such_command(const std::string& word, const CLI::App& app);
/// What CLI11 found wrong, in a sentence that says where to read on. `config` names the file when the option came from there.
std::string usage_problem(const CLI::App& app, const std::string& command, const CLI::ParseError& error, const std::string& config);

}  // namespace tnode
