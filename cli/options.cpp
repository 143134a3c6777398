#include "cli/options.h"

#include <arpa/inet.h>
#include <netdb.h>
#include <yaml-cpp/yaml.h>

#include <algorithm>

#include "cli/bundle_disk.h"
#include "cli/quantities.h"
#include "core/bundle_paths.h"

namespace tnode {
namespace {

/// "HOST:PORT" to "IP:PORT". A literal address needs no resolver.
Result<std::string> resolved(const std::string& text, const char* option) {
  auto colon = text.rfind(':');
  const std::string shape = std::string(option) + " wants HOST:PORT, not '" + text + "'";
  if (colon == std::string::npos || colon == 0 || colon + 1 == text.size()) return fail(Code::invalid, shape);
  std::string host = text.substr(0, colon), port = text.substr(colon + 1);
  if (port.find_first_not_of("0123456789") != std::string::npos || port.size() > 5 || std::stoi(port) > 65535) return fail(Code::invalid, shape + ": the port is a number up to 65535");
  if (host.front() == '[' && host.back() == ']') host = host.substr(1, host.size() - 2);
  in6_addr scratch{};
  if (inet_pton(AF_INET, host.c_str(), &scratch) == 1 || inet_pton(AF_INET6, host.c_str(), &scratch) == 1) return text;
  addrinfo hints{}, *found = nullptr;
  hints.ai_family = AF_UNSPEC;
  hints.ai_socktype = SOCK_STREAM;
  if (int error = getaddrinfo(host.c_str(), nullptr, &hints, &found); error != 0)
    return fail(Code::not_found, std::string(option) + ": '" + host + "' is not known: " + gai_strerror(error));
  char address[NI_MAXHOST] = {};
  getnameinfo(found->ai_addr, found->ai_addrlen, address, sizeof address, nullptr, 0, NI_NUMERICHOST);
  const bool v6 = found->ai_family == AF_INET6;
  freeaddrinfo(found);
  return (v6 ? "[" + std::string(address) + "]" : std::string(address)) + ":" + port;
}

}  // namespace

std::string warning_of(const PeerUnreachable& event) { return "no node answers at " + event.endpoint + " (--peer): " + event.reason + "; it is tried again"; }

Result<SwarmOptions> swarm_options(const GlobalOptions& options) {
  SwarmOptions swarm;
  swarm.listen = options.listen;
  if (!options.listen.empty()) {
    auto listen = resolved(options.listen, "--listen");
    if (!listen) return fail(Code::invalid, "--listen wants IP:PORT (127.0.0.1:7001, 0.0.0.0:6881, [::]:6881), not '" + options.listen + "'");
    swarm.listen = *listen;
  }
  for (const auto& text : options.bootstrap) {
    auto endpoint = resolved(text, "--bootstrap");
    if (!endpoint) return endpoint.error();
    swarm.bootstrap.push_back(*endpoint);
  }
  for (const auto& text : options.peers) {
    auto endpoint = resolved(text, "--peer");
    if (!endpoint) return endpoint.error();
    swarm.peers.push_back(*endpoint);
  }
  return swarm;
}

namespace {

using Words = std::vector<std::string>;

bool has(const Words& words, const std::string& word) { return std::find(words.begin(), words.end(), word) != words.end(); }

std::string dashed(std::string key) {
  std::replace(key.begin(), key.end(), '_', '-');
  return key;
}

/// Reads config.yaml; every complaint names the file and the place in it.
class ConfigReader {
 public:
  ConfigReader(const std::string& path, const KnownOptions& known) : path_(path), known_(known) {}

  Result<ConfigArguments> read(const std::string& text, const std::string& command) const {
    ConfigArguments arguments;
    try {
      const YAML::Node root = YAML::Load(text);
      if (root.IsNull()) return arguments;
      if (!root.IsMap()) return bad(root.Mark(), "expected lines like `listen: 127.0.0.1:7001`");
      for (const auto& entry : root) {
        const std::string key = entry.first.as<std::string>();
        Words others;
        if (key == "credit") {
          if (auto good = take_credit(entry.second, command == "farm" ? arguments.command : others); !good) return good.error();
          continue;
        }
        const auto section = known_.of_command.find(key);
        if (section == known_.of_command.end()) {
          if (auto good = take(entry.first, entry.second, known_.global, "", arguments.global); !good) return good.error();
          continue;
        }
        if (!entry.second.IsMap() && !entry.second.IsNull()) return bad(entry.second.Mark(), "'" + key + "' is a command: expected its options below it, indented");
        for (const auto& option : entry.second)
          if (auto good = take(option.first, option.second, section->second, key, key == command ? arguments.command : others); !good) return good.error();
      }
    } catch (const YAML::Exception& error) {
      return bad(error.mark, error.msg);
    }
    return arguments;
  }

 private:
  Error bad(const YAML::Mark& mark, const std::string& what) const {
    return fail(Code::invalid, path_ + ":" + std::to_string(mark.line + 1) + ":" + std::to_string(mark.column + 1) + ": " + what);
  }

  Result<void> take(const YAML::Node& name, const YAML::Node& value, const Words& known, const std::string& section, Words& into) const {
    const std::string key = name.as<std::string>(), option = dashed(key), flag = "--" + option;
    if (!has(known, option)) return bad(name.Mark(), "unknown key " + quoted_name(key) + hint(option, known, section));
    if (value.IsSequence()) {
      for (const auto& item : value) into.insert(into.end(), {flag, item.as<std::string>()});
    } else if (value.IsScalar()) {
      const std::string text = value.as<std::string>();
      if (text == "true") into.push_back(flag);
      else if (text != "false") into.insert(into.end(), {flag, text});
    } else {
      return bad(name.Mark(), "'" + key + "' has no value");
    }
    return {};
  }

  /// A section of its own, and the farmer's options all the same: a line has a key and an amount.
  Result<void> take_credit(const YAML::Node& section, Words& into) const {
    static const Words known{"line", "stranger-cap", "audit-above", "lines"};
    if (!section.IsMap()) return bad(section.Mark(), "'credit' has the keys line, stranger_cap, audit_above and lines below it, indented");
    for (const auto& entry : section) {
      if (dashed(entry.first.as<std::string>()) != "lines") {
        if (auto good = take(entry.first, entry.second, known, "credit", into); !good) return good;
        continue;
      }
      if (!entry.second.IsMap()) return bad(entry.second.Mark(), "'lines' wants KEY: CREDITS below it, one a line");
      for (const auto& line : entry.second) into.insert(into.end(), {"--line-of", line.first.as<std::string>() + "=" + line.second.as<std::string>()});
    }
    return {};
  }

  std::string hint(const std::string& option, const Words& known, const std::string& section) const {
    for (const auto& [command, options] : known_.of_command)
      if (section.empty() && has(options, option)) return "; it belongs below '" + command + ":', indented";
    if (!section.empty() && has(known_.global, option)) return "; it belongs at the top, not below '" + section + ":'";
    Words words = known;
    if (section.empty()) {
      words.push_back("credit");
      for (const auto& [command, options] : known_.of_command) words.push_back(command);
    }
    const std::string near = nearest_word(option, words);
    return near.empty() ? "" : "; did you mean '" + near + "'?";
  }

  const std::string& path_;
  const KnownOptions& known_;
};

}  // namespace

Result<ConfigArguments> config_arguments(const std::string& path, const std::string& command, const KnownOptions& known) {
  auto text = read_file(path);
  if (!text) return text.error().code == Code::not_found ? Result<ConfigArguments>(ConfigArguments{}) : text.error();
  return ConfigReader(path, known).read(*text, command);
}

}  // namespace tnode
