#include "core/runtime.h"

#include <algorithm>
#include <array>
#include <tuple>

#include "core/bundle_paths.h"
#include "core/crypto.h"
#include "core/dict_reader.h"
#include "core/magnet.h"
#include "core/tree_image.h"

namespace tnode {
namespace {

constexpr std::int64_t disk_block_bytes = 4096;
constexpr std::int64_t max_runtime_bytes = std::int64_t{1} << 40;

constexpr std::array sandbox_folders{"dev", "init", "proc", "run", "scratch", "sys", "tmp", "warm", "work"};
constexpr std::array sandbox_files{"etc/group", "etc/passwd"};
constexpr std::array machine_files{"etc/.pwd.lock", "etc/group-", "etc/gshadow", "etc/gshadow-", "etc/hostname", "etc/hosts", "etc/machine-id", "etc/mtab", "etc/passwd-",
                                   "etc/resolv.conf", "etc/shadow", "etc/shadow-", "etc/subgid", "etc/subgid-", "etc/subuid", "etc/subuid-"};

bool among(const auto& names, std::string_view name) { return std::find(names.begin(), names.end(), name) != names.end(); }

/// e_machine of the ELF header, and the kernel's word for it.
constexpr std::array<std::pair<int, const char*>, 7> machines{{{3, "i686"}, {21, "ppc64le"}, {22, "s390x"}, {40, "armv7l"}, {62, "x86_64"}, {183, "aarch64"}, {243, "riscv64"}}};

}  // namespace

Bytes encode_runtime_manifest(const RuntimeManifest& manifest) {
  return bencode::encode(bencode::Dictionary{{"disk", manifest.disk_bytes}, {"entries", manifest.entries}, {"machine", manifest.machine}, {"tnode", 1}});
}

Result<RuntimeManifest> decode_runtime_manifest(std::string_view bytes) {
  auto value = bencode::decode(bytes);
  if (!value) return fail(Code::invalid, "the runtime's manifest is broken: " + value.error().message);
  bencode::DictReader reader(*value);
  RuntimeManifest manifest;
  reader.number("tnode", 1, 1);
  manifest.machine = reader.bytes("machine", 32);
  manifest.entries = reader.number("entries", 1, static_cast<std::int64_t>(max_tree_entries));
  manifest.disk_bytes = reader.number("disk", 0, max_runtime_bytes);
  if (manifest.machine.empty() || !is_plain_text(manifest.machine)) reader.refuse("no machine is named");
  if (auto good = reader.finish(); !good) return fail(Code::invalid, "the runtime's manifest: " + good.error().message);
  return manifest;
}

std::string runtime_name(std::string_view manifest) { return "tnode-runtime-" + to_hex(sha256(manifest).view().substr(0, 8)); }

Result<RuntimeId> runtime_id(std::string_view runtime) {
  auto magnet = parse_magnet(runtime);
  if (!magnet) return magnet.error();
  const auto id = rename_id<RuntimeId>(magnet->v2_hash);
  if (id.is_zero() || runtime_link(id) != runtime) return fail(Code::invalid, "a runtime is named by the magnet link of a v2 hash alone");
  return id;
}

std::string runtime_link(const RuntimeId& id) { return format_magnet(Magnet{rename_id<Hash>(id), {}, "", {}}); }

std::string platform_kind(std::string_view runtime, std::string_view platform) {
  const auto slash = platform.rfind('/');
  return std::string(runtime == "host" || slash == std::string_view::npos ? platform : platform.substr(slash + 1));
}

std::int64_t disk_bytes_of(std::int64_t size) { return (size / disk_block_bytes + (size % disk_block_bytes != 0) + 1) * disk_block_bytes; }

bool belongs_to_sandbox(std::string_view path) {
  return among(sandbox_folders, path.substr(0, path.find('/'))) || among(sandbox_files, path);
}

bool belongs_to_machine(std::string_view path) { return belongs_to_sandbox(path) || among(machine_files, path); }

std::string machine_of_program(std::string_view head) {
  constexpr std::size_t byte_order_at = 5, machine_at = 18;
  if (head.size() < program_head_bytes || !head.starts_with("\x7f" "ELF")) return {};
  const int one = static_cast<unsigned char>(head[machine_at]), other = static_cast<unsigned char>(head[machine_at + 1]);
  const bool big_endian = head[byte_order_at] == 2;
  for (const auto& [number, name] : machines)
    if (number == (big_endian ? one * 256 + other : other * 256 + one)) return name;
  return {};
}

Result<std::vector<RuntimeId>> choose_evictions(std::vector<CachedRuntime> cached, std::int64_t limit, std::int64_t needed) {
  std::vector<RuntimeId> out;
  std::int64_t held = 0, used = 0;
  for (const auto& each : cached) {
    held += each.bytes;
    if (each.in_use) used += each.bytes;
  }
  if (needed > limit) return fail(Code::refused, "it takes " + std::to_string(needed) + " bytes, packed and unpacked; the limit for runtimes is " + std::to_string(limit) + " (--runtime-cache)");
  if (used + needed > limit)
    return fail(Code::refused, "it takes " + std::to_string(needed) + " bytes and runtimes in use " + std::to_string(used) + "; the limit for all is " + std::to_string(limit) + " (--runtime-cache)");
  std::sort(cached.begin(), cached.end(), [](const CachedRuntime& a, const CachedRuntime& b) { return std::tie(a.ran, a.last_used_ms, a.id) < std::tie(b.ran, b.last_used_ms, b.id); });
  for (const auto& each : cached) {
    if (held + needed <= limit) break;
    if (each.in_use) continue;
    held -= each.bytes;
    out.push_back(each.id);
  }
  return out;
}

std::int64_t OfferedRuntimes::left(TimeMs now) const {
  std::int64_t left = limit_bytes_;
  for (const auto& each : fetched_)
    if (now < each.time_ms + offered_runtimes_ms) left -= each.bytes;
  return std::max<std::int64_t>(0, left);
}

void OfferedRuntimes::fetched(TimeMs now, const RuntimeId& id, std::int64_t bytes) {
  std::erase_if(fetched_, [now](const Fetched& each) { return each.time_ms + offered_runtimes_ms <= now; });
  fetched_.push_back({now, id, bytes});
}

void OfferedRuntimes::ran(const RuntimeId& id) {
  std::erase_if(fetched_, [&](const Fetched& each) { return each.id == id; });
}

std::string OfferedRuntimes::why(TimeMs now) const {
  return "of the " + std::to_string(limit_bytes_) + " bytes of runtimes that this farmer fetches in a day for offers (--runtime-cache), " + std::to_string(left(now)) + " are left: the others became no awards";
}

}  // namespace tnode
