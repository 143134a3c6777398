#include "ledger/last_seen.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cstdio>

namespace tnode {
namespace {

constexpr std::size_t line_bytes = 128;  // always as long, so that a shorter one never leaves the end of a longer one behind it

std::string path_of(const std::string& store_path) { return store_path + ".last"; }

}  // namespace

FileIdentity identity_of(const std::string& path) {
  struct statx status {};
  if (statx(AT_FDCWD, path.c_str(), 0, STATX_INO | STATX_BTIME, &status) != 0 || !(status.stx_mask & STATX_BTIME)) return {};
  return {status.stx_ino, static_cast<std::int64_t>(status.stx_btime.tv_sec) * 1'000'000'000 + status.stx_btime.tv_nsec};
}

std::optional<LastSeen> read_last_seen(const std::string& store_path) {
  const int file = open(path_of(store_path).c_str(), O_RDONLY | O_CLOEXEC);
  if (file < 0) return std::nullopt;
  char line[line_bytes + 1] = {};
  const ssize_t got = pread(file, line, line_bytes, 0);
  close(file);
  unsigned long long blocks = 0, number = 0;
  long long made_ns = 0;
  char head[65] = {};
  if (got != static_cast<ssize_t>(line_bytes) || std::sscanf(line, "%llu %64s %llu %lld", &blocks, head, &number, &made_ns) != 4 || blocks == 0) return std::nullopt;
  auto bytes = from_hex(head);
  auto id = bytes ? BlockId::from_bytes(*bytes) : Result<BlockId>(bytes.error());
  if (!id) return std::nullopt;
  return LastSeen{blocks, *id, {number, made_ns}};
}

void write_last_seen(const std::string& store_path, const LastSeen& seen) {
  const int file = open(path_of(store_path).c_str(), O_WRONLY | O_CREAT | O_CLOEXEC, 0600);
  if (file < 0) return;
  char line[line_bytes + 1] = {};
  const int size = std::snprintf(line, sizeof line, "%llu %s %llu %lld", static_cast<unsigned long long>(seen.blocks), to_hex(seen.head).c_str(), static_cast<unsigned long long>(seen.file.number),
                                 static_cast<long long>(seen.file.made_ns));
  for (auto i = static_cast<std::size_t>(size); i < line_bytes; ++i) line[i] = i + 1 == line_bytes ? '\n' : ' ';
  (void)!pwrite(file, line, line_bytes, 0);  // what cannot be remembered is not missed
  close(file);
}

}  // namespace tnode
