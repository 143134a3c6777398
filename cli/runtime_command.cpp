// `tnode runtime pack|list|remove`: root file systems that tasks bring along. They need no network and work beside a running node.
#include <algorithm>
#include <cstdio>
#include <filesystem>

#include "cli/bundle_disk.h"
#include "cli/commands.h"
#include "cli/control.h"
#include "cli/magnets.h"
#include "cli/offer_terms.h"
#include "cli/output.h"
#include "cli/quantities.h"
#include "cli/runtime_pack.h"
#include "cli/runtime_store.h"
#include "cli/task_record.h"

namespace tnode {
namespace fs = std::filesystem;
namespace {

constexpr std::size_t min_prefix = 6;

/// The folder's own name, also when it was given as "." or with a slash behind it.
std::string name_of_folder(const std::string& dir) {
  fs::path path = fs::absolute(dir).lexically_normal();
  if (!path.has_filename()) path = path.parent_path();
  return path.filename().string();
}

Json json_of(const StoredRuntime& runtime) {
  return Json{{"runtime_id", to_hex(runtime.id)}, {"runtime", runtime_link(runtime.id)}, {"name", runtime.packed_here ? Json(runtime.name) : Json()}, {"packed_here", runtime.packed_here},
              {"whole", runtime.whole}, {"unpacked", runtime.unpacked}, {"machine", runtime.whole ? Json(runtime.manifest.machine) : Json()}, {"disk_bytes", runtime.bytes},
              {"used", runtime.last_used_ms / 1000}};
}

std::string line_of(const StoredRuntime& runtime) {
  char row[256];
  std::snprintf(row, sizeof row, "%s  %-8s %10s  %-8s  %s\n", short_hex(runtime.id).c_str(), runtime.whole ? runtime.manifest.machine.c_str() : "-", format_size(runtime.bytes).c_str(),
                !runtime.whole ? "partial" : runtime.unpacked ? "unpacked" : "packed", runtime.packed_here ? runtime.name.c_str() : "from the swarm");
  return row;
}

/// A node that works with this home may be about to use what is removed: none may run meanwhile.
Result<std::unique_ptr<Store>> claim_home(const Home& home) {
  auto key = home.existing_key();
  if (!key || !fs::exists(home.store_path())) return std::unique_ptr<Store>();
  Store::Options options;
  options.path = home.store_path();
  options.key = key->key();
  options.signer = &*key;
  auto store = Store::open(options, wall_clock_ms());
  if (!store && store.error().code == Code::unavailable) return fail(Code::unavailable, "a node runs with this home and may use it; stop that first, or let --runtime-cache take care of room");
  return store;
}

}  // namespace

int run_runtime_pack(const GlobalOptions& global, const RuntimePackOptions& options) {
  Output output(global);
  auto home = Home::find(global.home);
  if (!home) return fail_with(home.error());
  const std::string name = file_name_of(options.name.empty() ? name_of_folder(options.dir) : options.name);
  if (auto made = home->make(); !made) return fail_with(made.error());
  std::int64_t shown = 0;
  auto packed = pack_runtime(*home, options.dir, [&](std::int64_t done) {
    constexpr std::int64_t show_every_bytes = 16 << 20;
    if (output.on_terminal() && done - shown >= show_every_bytes) output.progress("packing", shown = done, 0, "bytes");
  });
  if (!packed) return fail_with(packed.error());
  if (auto named = name_runtime(*home, packed->id(), name); !named) return fail_with(named.error());
  const Torrent& torrent = packed->bundle.torrent;
  const std::string file = options.out.empty() ? name + ".torrent" : options.out;
  if (auto written = write_file_atomically(file, torrent.bytes); !written) return fail_with(written.error());
  if (auto asked = ask_to_serve(*home, packed->id()); !asked) return fail_with(asked.error());
  const std::string magnet = magnet_of(torrent.v2_hash, torrent.v1_hash, name, "");
  output.answer(Json{{"runtime_id", to_hex(packed->id())}, {"runtime", runtime_link(packed->id())}, {"runtime_magnet", magnet}, {"name", name}, {"machine", packed->manifest.machine}, {"bytes", torrent.total_size},
                     {"unpacked_bytes", packed->manifest.disk_bytes}, {"entries", packed->manifest.entries}, {"left_out", packed->left_out}, {"torrent", file}},
                "id        " + to_hex(packed->id()) + "\nmagnet    " + magnet + "\nmachine   " + packed->manifest.machine + "\nsize      " + format_size(torrent.total_size) + ", unpacked " +
                    format_size(packed->manifest.disk_bytes) + "; " + std::to_string(packed->manifest.entries) + " files, folders and links (" + std::to_string(packed->left_out) +
                    " left out: devices, and what belongs to one machine)\ntorrent   " + file + "\nuse       runtime: \"" + runtime_link(packed->id()) + "\"\n",
                to_hex(packed->id()));
  return exit_done;
}

int run_runtime_list(const GlobalOptions& global) {
  Output output(global);
  auto home = Home::find(global.home);
  if (!home) return fail_with(home.error());
  auto runtimes = stored_runtimes(*home);
  std::sort(runtimes.begin(), runtimes.end(), [](const StoredRuntime& a, const StoredRuntime& b) { return a.last_used_ms > b.last_used_ms; });
  Json list = Json::array();
  std::string text, ids;
  for (const auto& runtime : runtimes) {
    list.push_back(json_of(runtime));
    text += line_of(runtime);
    ids += (ids.empty() ? "" : "\n") + to_hex(runtime.id);
  }
  if (runtimes.empty()) text = "no runtimes here; `tnode runtime pack DIR` makes one\n";
  output.answer(Json{{"runtimes", list}}, text, ids);
  return exit_done;
}

int run_runtime_remove(const GlobalOptions& global, const std::string& id) {
  Output output(global);
  auto home = Home::find(global.home);
  if (!home) return fail_with(home.error());
  std::vector<StoredRuntime> matching;
  for (auto& runtime : stored_runtimes(*home))
    if (id.size() >= min_prefix && to_hex(runtime.id).starts_with(id)) matching.push_back(std::move(runtime));
  if (matching.size() != 1)
    return fail_with(fail(Code::not_found, (matching.empty() ? "no runtime" : "more than one runtime") + std::string(" here has an id that starts with '") + id + "'; `tnode runtime list` shows them, 6 digits are enough"));
  auto claimed = claim_home(*home);
  if (!claimed) return fail_with(claimed.error());
  auto aside = set_aside_runtime(*home, matching.front().id, true);
  if (!aside) return fail_with(aside.error());
  std::error_code ec;
  if (!aside->empty()) fs::remove_all(*aside, ec);
  if (ec) return fail_with(fail(Code::io, "cannot remove " + *aside + ": " + ec.message()));
  output.answer(json_of(matching.front()), "removed   " + to_hex(matching.front().id) + "  " + format_size(matching.front().bytes) + "\n", to_hex(matching.front().id));
  return exit_done;
}

}  // namespace tnode
