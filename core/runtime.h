// Runtimes: root file systems that tasks may name instead of the farmer's own. What a runtime's bundle says of itself, what may be
// in one, and which ones a full cache lets go. Pure; docs/runtimes.md is the format.
#pragma once
#include <string>
#include <vector>

#include "core/types.h"

namespace tnode {

using RuntimeId = Id<struct RuntimeTag>;  ///< v2 info-hash of a runtime's torrent

/// The files of a runtime's bundle.
inline constexpr const char* runtime_manifest_file = "manifest";
inline constexpr const char* runtime_image_file = "root.tar";  ///< see core/tree_image.h

/// The `manifest` file of a runtime's bundle. What is unpacked must be exactly this much.
struct RuntimeManifest {
  std::string machine;         ///< whose programs are in it, as `uname -m` says; "any" when there is none
  std::int64_t entries = 0;    ///< files, folders and links
  std::int64_t disk_bytes = 0; ///< what the unpacked tree takes: see disk_bytes_of
  bool operator==(const RuntimeManifest&) const = default;
};
Bytes encode_runtime_manifest(const RuntimeManifest& manifest);
Result<RuntimeManifest> decode_runtime_manifest(std::string_view bytes);
/// "tnode-runtime-" + first 16 hex digits of SHA-256(manifest).
std::string runtime_name(std::string_view manifest);

/// The runtime that a manifest or an offer names; `invalid` for "host" and for every spelling but runtime_link's.
Result<RuntimeId> runtime_id(std::string_view runtime);
std::string runtime_link(const RuntimeId& id);

/// What the results of a farmer may depend on, of all that its bid says of its platform ("debian-12/x86_64"): everything when it runs
/// tasks in its own system, the machine alone when the task brings a runtime.
std::string platform_kind(std::string_view runtime, std::string_view platform);

/// What a file of that size takes on a disk, its entry included: whole blocks of 4 KiB.
std::int64_t disk_bytes_of(std::int64_t size);

/// True for what the sandbox makes itself (/proc, /dev, /tmp, /work, /etc/passwd, …): a runtime that holds it is refused.
bool belongs_to_sandbox(std::string_view path);
/// True for that, and for what belongs to one machine and its users (/etc/hostname, /etc/resolv.conf, /etc/shadow, …): `pack` leaves
/// it out.
bool belongs_to_machine(std::string_view path);

/// Which machine's program begins with these bytes, as `uname -m` says; empty when it is no ELF program of a known one.
std::string machine_of_program(std::string_view first_bytes);
inline constexpr std::size_t program_head_bytes = 20;

/// A runtime in a farmer's cache.
struct CachedRuntime { RuntimeId id; std::int64_t bytes = 0; TimeMs last_used_ms = 0; bool in_use = false; bool ran = true; };
/// What must go so that `needed` more bytes fit below `limit`: those first that no unit ran in, then the longest unused, never one in use. `refused`,
/// with what is in the way, when that is not enough.
Result<std::vector<RuntimeId>> choose_evictions(std::vector<CachedRuntime> cached, std::int64_t limit, std::int64_t needed);

/// What is fetched because it was offered, in the hope for an award. Offers cost nothing: those of a day bring no more than the cache holds.
class OfferedRuntimes {
 public:
  explicit OfferedRuntimes(std::int64_t limit_bytes) : limit_bytes_(limit_bytes) {}
  /// How much may be fetched now for an offer.
  std::int64_t left(TimeMs now) const;
  void fetched(TimeMs now, const RuntimeId& id, std::int64_t bytes);
  /// A unit ran in it: it was worth fetching.
  void ran(const RuntimeId& id);
  /// Why no more may be fetched, for people.
  std::string why(TimeMs now) const;

 private:
  struct Fetched { TimeMs time_ms = 0; RuntimeId id; std::int64_t bytes = 0; };
  std::int64_t limit_bytes_;
  std::vector<Fetched> fetched_;
};
inline constexpr TimeMs offered_runtimes_ms = 86'400'000;

}  // namespace tnode
