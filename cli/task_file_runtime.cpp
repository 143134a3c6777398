#include "cli/task_file_runtime.h"

#include <filesystem>

#include "cli/bundle_disk.h"
#include "cli/quantities.h"
#include "cli/task_file_keys.h"
#include "core/messages.h"
#include "core/runtime.h"
#include "core/torrent.h"

namespace tnode {
namespace fs = std::filesystem;
using namespace task_file_keys;
namespace {

void read_torrent(const TreeNode& node, const std::string& given, const std::string& folder, TaskFile& task, TaskFileResult& said) {
  auto complain = [&](std::string text) { said.problems.push_back(node.problem(std::move(text))); };
  auto bytes = read_file((fs::path(folder) / given).lexically_normal().string());
  if (!bytes) return complain(bytes.error().code == Code::not_found ? "there is no file " + quoted_name(given) : bytes.error().message);
  auto torrent = parse_canonical_torrent(*bytes);
  if (!torrent || !torrent->name.starts_with("tnode-runtime-")) return complain(quoted_name(given) + " is no torrent of a runtime; `tnode runtime pack` makes one");
  task.spec.runtime = runtime_link(rename_id<RuntimeId>(torrent->v2_hash));
}

}  // namespace

void read_runtime(const TreeNode& node, const std::string& given, const std::string& folder, TaskFile& task, TaskFileResult& said) {
  if (given == "host") return;
  if (given.starts_with("magnet:")) {
    const auto link = read_magnet(node, said.problems);
    if (!link) return;
    task.spec.runtime = format_magnet(Magnet{link->v2_hash, {}, "", {}});
    task.terms.runtime_peers = link->peers;
    if (link->peers.size() <= max_runtime_peers) return;
    task.terms.runtime_peers.resize(max_runtime_peers);
    said.warnings.push_back(node.problem("farmers are told of the first " + std::to_string(max_runtime_peers) + " x.pe addresses of a runtime"));
  } else if (given.ends_with(".torrent")) {
    read_torrent(node, given, folder, task, said);
  } else {
    const auto near = nearest_word(given, {"host"});
    said.problems.push_back(node.problem("expected " + std::string(runtime_forms) + ", not " + quoted_name(given) + (near.empty() ? "" : "; did you mean 'host'?")));
  }
}

std::optional<Magnet> read_magnet(const TreeNode& node, std::vector<TaskFileProblem>& problems) {
  auto link = parse_magnet(node.text);
  if (link && !link->v2_hash.is_zero()) return std::move(*link);
  problems.push_back(node.problem(link ? "this magnet link has no v2 hash (xt=urn:btmh:1220…); the 20 bytes of a v1 hash do not name content safely" : link.error().message));
  return std::nullopt;
}

}  // namespace tnode
