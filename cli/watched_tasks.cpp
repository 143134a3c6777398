#include "cli/watched_tasks.h"

#include <cctype>
#include <filesystem>

#include "cli/bundle_disk.h"
#include "cli/farmer_role.h"
#include "cli/node.h"
#include "cli/offer_terms.h"
#include "cli/pack.h"
#include "cli/requester_role.h"
#include "core/magnet.h"
#include "core/torrent.h"

namespace tnode {
namespace fs = std::filesystem;
namespace {

constexpr std::uintmax_t max_dropped_bytes = max_torrent_bytes;

}  // namespace

Result<std::unique_ptr<WatchedTasks>> WatchedTasks::start(Node& node, const std::string& dir, const Output& output) {
  const std::string absolute = fs::absolute(dir).lexically_normal().string();
  std::unique_ptr<WatchedTasks> watched(new WatchedTasks(node, absolute, output));
  WatchedTasks* self = watched.get();
  auto folder = WatchFolder::start(absolute, [self, &node](const std::string& path) { node.post([self, path] { self->take(path); }); });
  if (!folder) return folder.error();
  watched->folder_ = std::move(*folder);
  return watched;
}

void WatchedTasks::take(const std::string& path) {
  std::error_code ec;
  if (taken_.count(path) || !fs::is_regular_file(path, ec)) return;
  const std::string name = fs::path(path).filename().string();
  const bool torrent = name.ends_with(".torrent"), magnet = name.ends_with(".magnet"), task = name.ends_with(".yaml") || name.ends_with(".yml");
  if (name.starts_with(".") || (!torrent && !magnet && !task)) return;  // not ours; perhaps another program's half-written file
  taken_[path] = true;
  if (fs::file_size(path, ec) > max_dropped_bytes) return reject(path, "it is larger than any task's torrent");
  if (torrent) take_torrent(path);
  else if (magnet) take_magnet(path);
  else take_task_file(path);
}

void WatchedTasks::take_torrent(const std::string& path) {
  auto bytes = read_file(path);
  if (!bytes) return reject(path, bytes.error().message);
  auto torrent = parse_canonical_torrent(*bytes);
  if (!torrent) return reject(path, "it is no task of tnode: " + torrent.error().message);
  if (!torrent->name.starts_with(bundle_name_prefix)) return reject(path, "it is no task of tnode: its name is " + torrent->name);
  watch(path, torrent->v2_hash, torrent->v1_hash, torrent->bytes, {});
}

void WatchedTasks::take_magnet(const std::string& path) {
  auto link = read_file(path);
  if (!link) return reject(path, link.error().message);
  while (!link->empty() && std::isspace(static_cast<unsigned char>(link->back()))) link->pop_back();
  auto magnet = parse_magnet(*link);
  if (!magnet) return reject(path, magnet.error().message);
  if (magnet->v2_hash.is_zero()) return reject(path, "the magnet link has no v2 hash (xt=urn:btmh:…), which is a task's identity");
  watch(path, magnet->v2_hash, magnet->v1_hash, {}, magnet->peers);
}

void WatchedTasks::watch(const std::string& path, const Hash& v2_hash, const std::array<std::uint8_t, 20>& v1_hash, const Bytes& torrent, std::vector<std::string> peers) {
  output_.line("watched  " + short_hex(v2_hash) + "  from " + fs::path(path).filename().string());
  for (const auto& peer : peers) node_.swarm().dial(peer);
  node_.farmer()->watch(rename_id<TaskId>(v2_hash), v1_hash, torrent, std::move(peers), [this, path, v2_hash](const std::string& problem) {
    if (problem.empty()) done(path, "task " + short_hex(v2_hash) + " is ready");
    else reject(path, problem);
  });
}

/// A task.yaml here is an offer of this node's own.
void WatchedTasks::take_task_file(const std::string& path) {
  auto read = read_task_file(path, {});
  if (!read.task) {
    std::string reasons;
    for (const auto& problem : read.problems) reasons += problem.shown() + "\n";
    return reject(path, reasons);
  }
  node_.work([this, path, task = *read.task, home = node_.home()]() -> std::function<void()> {
    auto bundle = pack_task(home, task);
    return [this, path, task, bundle] {
      if (!bundle) return reject(path, bundle.error().message);
      const std::string out = dir_ + "/done/" + file_name_of(task.terms.name) + "-result";
      auto record = record_for(node_, {*bundle, task.spec, task.terms}, out, true);
      if (!record) return reject(path, record.error().message);
      output_.line("offering " + short_hex(bundle->torrent.v2_hash) + "  \"" + task.terms.name + "\"");
      RequesterRole::Watcher watcher;
      watcher.note = [this](const Note& note) { output_.event(note); };
      watcher.end = [this, path](const TaskRecord& ended, Ending ending, const Requester&) {
        if (ending == Ending::done) done(path, "task " + short_hex(ended.offer.task) + " is done: " + ended.out);
        else reject(path, std::string(ending_word(ending)) + (ended.reason.empty() ? "" : ": " + ended.reason));
      };
      node_.add(std::make_unique<RequesterRole>(node_, std::move(record->record), *bundle, std::move(watcher)));
    };
  });
}

void WatchedTasks::done(const std::string& path, const std::string& what) {
  output_.line("watched  " + what);
  move_to("done", path, {});
}

void WatchedTasks::reject(const std::string& path, const std::string& reason) {
  output_.line("rejected " + fs::path(path).filename().string() + ": " + reason);
  move_to("rejected", path, reason);
}

void WatchedTasks::move_to(const std::string& folder, const std::string& path, const std::string& reason) {
  taken_.erase(path);
  std::error_code ec;
  fs::create_directories(dir_ + "/" + folder, ec);
  std::string target = dir_ + "/" + folder + "/" + fs::path(path).filename().string();
  for (int n = 1; fs::exists(target, ec); ++n) target = dir_ + "/" + folder + "/" + std::to_string(n) + "-" + fs::path(path).filename().string();
  if (!reason.empty()) (void)write_file_atomically(target + ".reason", reason + (reason.back() == '\n' ? "" : "\n"));
  fs::rename(path, target, ec);
  if (ec) output_.problem("cannot move " + path + " to " + target + ": " + ec.message());
}

}  // namespace tnode
