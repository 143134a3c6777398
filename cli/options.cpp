#include "cli/options.h"

#include <arpa/inet.h>
#include <netdb.h>
#include <yaml-cpp/yaml.h>

#include "cli/bundle_disk.h"

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

Result<ConfigArguments> config_arguments(const std::string& path, const std::string& command) {
  ConfigArguments arguments;
  auto text = read_file(path);
  if (!text) return text.error().code == Code::not_found ? Result<ConfigArguments>(arguments) : text.error();
  auto bad = [&](const YAML::Mark& mark, const std::string& what) {
    return fail(Code::invalid, path + ":" + std::to_string(mark.line + 1) + ":" + std::to_string(mark.column + 1) + ": " + what);
  };
  try {
    YAML::Node root = YAML::Load(*text);
    if (root.IsNull()) return arguments;
    if (!root.IsMap()) return bad(root.Mark(), "expected lines like `listen: 127.0.0.1:7001`");
    auto take = [&](const YAML::Node& map, std::vector<std::string>& into) -> Result<void> {
      for (const auto& entry : map) {
        const std::string key = entry.first.as<std::string>();
        if (entry.second.IsMap()) continue;
        std::string flag = "--" + key;
        for (char& c : flag)
          if (c == '_') c = '-';
        if (entry.second.IsSequence()) {
          for (const auto& item : entry.second) into.insert(into.end(), {flag, item.as<std::string>()});
        } else if (entry.second.IsScalar()) {
          const std::string value = entry.second.as<std::string>();
          if (value == "true") into.push_back(flag);
          else if (value != "false") into.insert(into.end(), {flag, value});
        } else {
          return bad(entry.second.Mark(), "'" + key + "' has no value");
        }
      }
      return {};
    };
    if (auto good = take(root, arguments.global); !good) return good.error();
    if (root[command] && root[command].IsMap())
      if (auto good = take(root[command], arguments.command); !good) return good.error();
  } catch (const YAML::Exception& error) {
    return bad(error.mark, error.msg);
  }
  return arguments;
}

}  // namespace tnode
