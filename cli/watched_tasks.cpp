#include "cli/watched_tasks.h"

#include <algorithm>
#include <cctype>
#include <filesystem>

#include "cli/bundle_disk.h"
#include "cli/farmer_role.h"
#include "cli/node.h"
#include "cli/offer_terms.h"
#include "cli/output_folder.h"
#include "cli/pack.h"
#include "cli/requester_role.h"
#include "core/bundle_paths.h"
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
  if (auto good = check_task_name(torrent->name); !good) return reject(path, good.error().message);
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
  const std::string name = fs::path(path).filename().string();
  output_.line("watched  " + short_hex(v2_hash) + "  from " + visible_text(name));
  output_.event("watched", {{"file", name}, {"task_id", to_hex(v2_hash)}});
  for (const auto& peer : peers) node_.swarm().dial(peer);
  node_.farmer()->watch(rename_id<TaskId>(v2_hash), v1_hash, torrent, std::move(peers), [this, path, v2_hash](const std::string& problem) {
    if (problem.empty()) done(path, rename_id<TaskId>(v2_hash), "is ready");
    else reject(path, problem);
  });
}

/// A task.yaml here is an offer of this node's own.
void WatchedTasks::take_task_file(const std::string& path) {
  auto read = read_task_file(path, {});
  if (!read.task) {
    std::string reasons;
    for (auto problem : read.problems) {
      if (problem.file == path) problem.file = fs::path(path).filename().string();  // it stands beside the .reason
      reasons += (reasons.empty() ? "" : "\n") + problem.shown();
    }
    return reject(path, reasons);
  }
  node_.work([this, path, task = *read.task, home = node_.home()]() -> std::function<void()> {
    auto bundle = pack_task(home, task);
    return [this, path, task, bundle] {
      if (!bundle) return reject(path, bundle.error().message);
      const TaskId id = rename_id<TaskId>(bundle->torrent.v2_hash);
      const auto under_way = all_task_records(node_.store());
      auto folder = free_folder({dir_ + "/done/" + file_name_of(task.terms.name) + "-result", id, unit_count(task.spec)}, [&](const std::string& out) {
        return std::any_of(under_way.begin(), under_way.end(), [&](const TaskRecord& each) { return each.running() && each.out == out && each.offer.task != id; });
      });
      if (!folder) return reject(path, folder.error().message);
      auto record = record_for(node_, {*bundle, task.spec, task.terms}, folder->dir, true);
      if (!record) return reject(path, record.error().message);
      output_.line("offering " + short_hex(bundle->torrent.v2_hash) + "  \"" + task.terms.name + "\"");
      output_.event("offering", {{"file", fs::path(path).filename().string()}, {"task_id", to_hex(bundle->torrent.v2_hash)}, {"name", task.terms.name}, {"units", record->record.offer.units}});
      RequesterRole::Watcher watcher;
      watcher.note = [this](const Note& note) { output_.event(note); };
      watcher.end = [this, path](const TaskRecord& ended, Ending ending, const Requester&) {
        if (ending == Ending::done && !ended.out.empty()) return done(path, ended.offer.task, "is done: " + ended.out);
        std::string why = std::string(ending_word(ending)) + (ended.reason.empty() ? "" : ": " + ended.reason) + "\n";
        for (const auto& failure : ended.failures) why += visible_text(failure_text(failure)) + "\n" + stderr_text(failure.stderr_tail) + "\n";
        reject(path, why);
      };
      node_.add(std::make_unique<RequesterRole>(node_, std::move(record->record), *bundle, std::move(watcher)));
    };
  });
}

void WatchedTasks::done(const std::string& path, const TaskId& task, const std::string& what) {
  output_.line("watched  task " + short_hex(task) + " " + what);
  output_.event("filed", {{"file", fs::path(path).filename().string()}, {"task_id", to_hex(task)}});
  move_to("done", path, {});
}

void WatchedTasks::reject(const std::string& path, const std::string& reason) {
  const std::string name = fs::path(path).filename().string();
  output_.line("rejected " + visible_text(name) + ": " + reason);
  output_.event("rejected", {{"file", name}, {"reason", reason}});
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
